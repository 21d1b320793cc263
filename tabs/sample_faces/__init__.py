"""Face pictures that our model generated."""

from pathlib import Path

PATHS = tuple(sorted(Path(__file__).parent.glob("face-*.png")))
