"""What users write and what the parts say to each other: models and pure functions over them, no I/O."""
