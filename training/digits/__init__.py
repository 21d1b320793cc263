"""Trains and measures the models of digits."""
