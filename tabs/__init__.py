"""What a visitor sees: one module per demo, pictures in and pictures out."""
