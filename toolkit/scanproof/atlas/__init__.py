"""What the shifts look like and how much they change: the severity table and the gallery."""
