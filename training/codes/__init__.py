"""Training and evaluation of VQ-VAEs and their priors."""
