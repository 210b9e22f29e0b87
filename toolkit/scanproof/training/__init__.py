"""One training loop for every network: MONAI's engines with early stopping and the best checkpoint."""
