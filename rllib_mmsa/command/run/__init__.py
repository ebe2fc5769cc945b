"""Running an experiment with Ray Tune: start, progress, stop, resume."""
