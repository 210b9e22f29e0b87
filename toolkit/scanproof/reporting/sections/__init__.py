"""Sections of a report that stand only where a study has what they are made from; each a module of its own."""
