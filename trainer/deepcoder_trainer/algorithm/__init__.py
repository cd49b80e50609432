"""GRPO+ as pure functions, one concept a file. advantages, aggregation, truncation and schedule need no torch."""
