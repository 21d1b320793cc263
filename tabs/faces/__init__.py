"""The Faces tab: samples, reconstructions, changes and mixtures of faces."""
