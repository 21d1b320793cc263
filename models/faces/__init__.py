"""Faces: variational autoencoders of faces, their latent space and directions in it."""
