"""Environments that several test files play."""
