"""Grading under load and faults: many clients, hostile programs, servers that are killed; every grade as in quiet."""
