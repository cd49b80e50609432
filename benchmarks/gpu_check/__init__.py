"""The trainer on a machine with one GPU: is it right there, how much memory it takes, how much of the GPU it uses."""
