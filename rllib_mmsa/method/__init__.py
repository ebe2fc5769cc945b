"""The method: MMSA (Wang and Meger, AAMAS 2026), QMIX, VDN and independent Q-learning.

Plain PyTorch on padded batches (B, T, ...) with a mask. Start with ``update.py``: one update of
the algorithm, from the top to the bottom, in the paper's order. ``losses.py`` has one function
for each equation of section 4.4.

Nothing here knows of Ray or of how an update is made fast (``rllib_mmsa/engine``). An edit of
these files, or a subclass of what is in them, acts in every update.
"""
