"""What the evaluator costs beside the engine that it waits for: `python -m benchmarks.evaluation`."""
