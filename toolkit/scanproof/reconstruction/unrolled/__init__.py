"""Unrolled networks: an iteration of an optimiser with a learned part, a fixed number of times."""
