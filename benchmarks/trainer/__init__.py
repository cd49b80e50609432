"""What training costs, part by part: `python -m benchmarks.trainer`. docs/performance.md explains each figure."""
