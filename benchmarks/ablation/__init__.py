"""GRPO+ and runs with one of its parts the other way round (examples/ablations), over several seeds."""
