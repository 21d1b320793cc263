"""Model cards and result tables."""
