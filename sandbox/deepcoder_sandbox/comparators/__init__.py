"""What counts as the same output and the same value, by profile. Pure functions, no I/O."""
