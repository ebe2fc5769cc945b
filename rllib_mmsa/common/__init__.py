"""Shared by every algorithm: sampling, batches, replay, the learner and its module."""
