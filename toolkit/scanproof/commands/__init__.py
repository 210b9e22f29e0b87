"""Subcommands of the command line, a module a topic; no logic."""
