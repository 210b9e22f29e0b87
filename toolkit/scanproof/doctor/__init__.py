"""Check-ups of an installation and of what it has stored: one module a topic, nothing intact is ever removed."""
