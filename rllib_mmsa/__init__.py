"""MMSA for RLlib: model-based multi-agent Q-learning on Ray RLlib's new API stack.

Importing this package registers the algorithms (``run: MMSA``) and the environments
(``env: lbf``) with Ray Tune.
"""
