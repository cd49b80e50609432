"""What is added to vLLM for rollouts: the weight engine plug-in and the agent beside the server."""
