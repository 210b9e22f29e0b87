"""What leaves a site, what is taken in elsewhere, and how the sites compare."""
