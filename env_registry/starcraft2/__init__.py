"""SMACv2 and SMAC (`env: smacv2`, `env: smac`).

`install`, `backend` and `diagnose` work where neither smacv2 nor StarCraft II is installed, so
importing this package imports neither.
"""
