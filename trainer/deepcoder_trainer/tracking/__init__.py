"""Figures of a run for W&B and MLflow: a process of its own for each, which nothing of the run waits for."""
