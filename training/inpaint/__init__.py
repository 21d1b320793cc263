"""Training and evaluation of face inpainting."""
