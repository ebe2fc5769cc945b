"""Torch networks: no Ray, no environment."""
