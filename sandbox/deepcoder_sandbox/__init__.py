"""The grading server that runs inside gVisor, and its client."""
