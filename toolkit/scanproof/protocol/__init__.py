"""Frozen studies that sites run on their own data, and what comes back."""
