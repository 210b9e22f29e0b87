"""Scaling laws: how much training data and how large a network is worth having."""
