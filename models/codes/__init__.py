"""VQ-VAE codes of pictures, the prior over them, and edits of code grids."""
