"""Face inpainting: a conditional VAE with attribute conditioning, and the paper's baseline."""
