"""Metrics that several demos share."""
