"""Measurements of the project against how others do the same, each a command: `make bench-…`."""
