"""Data sets in their official layouts: download, split, arrays in RAM."""
