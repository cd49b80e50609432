"""What grading costs: ours, inside gVisor and without it, beside three other ways to do the same work."""
