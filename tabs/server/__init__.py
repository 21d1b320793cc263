"""Request limits, clean-up and error sentences of the served app."""
