"""Training of the classifiers that evaluate the demos or serve as perceptual features."""
