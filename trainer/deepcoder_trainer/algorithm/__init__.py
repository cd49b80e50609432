"""The algorithms as pure functions, one concept a file. advantages, aggregation, overlong, truncation and schedule need
no torch."""
