"""Sketch completion: an autoregressive stroke prior, and the paper's CVAE."""
