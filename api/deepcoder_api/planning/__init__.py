"""What a run would start and whether its memory is enough, worked out before anything is. Pure functions, no I/O."""
