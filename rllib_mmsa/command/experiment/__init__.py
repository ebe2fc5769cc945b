"""From a configuration's text to a checked experiment; Ray is not started."""
