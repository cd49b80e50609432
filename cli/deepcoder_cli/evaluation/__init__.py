"""What `deepcoder evaluate` and `deepcoder report` are made of."""
