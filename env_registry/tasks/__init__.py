"""The tasks of each family of environments: names, grammar, checks. Imports no game."""
