"""A training run on this machine whose parts are killed and starved again and again, and the account of its prompts."""
