"""Preparation, the orchestrator, GRPO+ and checkpoints."""
