"""What the prepare Job decides and does: which problems are kept, whether their solutions pass, the dataset's key."""
