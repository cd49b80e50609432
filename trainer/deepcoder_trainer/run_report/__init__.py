"""What a run came to, step by step: its figures, durable in S3, and a page that shows them."""
