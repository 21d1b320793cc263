"""Makes the checkpoints: data, losses, metrics, one script a demo."""
