"""Numbers and their uncertainty: image quality, classification under shift, and the two tidy tables."""
