"""Training of the VAEs of faces."""
