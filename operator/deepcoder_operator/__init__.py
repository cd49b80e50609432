"""TrainingRun and Evaluation turned into Kubernetes objects."""
