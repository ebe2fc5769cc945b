"""What the world model imagines, for a person: `rllib imagine` and TensorBoard's pictures."""
