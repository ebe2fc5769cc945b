"""What the families on JAX share: many episodes of a game as one compiled program."""
