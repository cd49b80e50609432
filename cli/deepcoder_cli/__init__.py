"""The `deepcoder` command."""
