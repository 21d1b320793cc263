"""Training of the classifiers that evaluate the demos."""
