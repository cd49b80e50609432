"""What `deepcoder grade` is made of: inputs, the grading itself, the report, how it looks."""
