"""How the plots in docs/ look, and how they are written."""

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from training.engine.run_state import atomic_write

COLOURS = ("#3b5bdb", "#e8590c", "#2b8a3e", "#c2255c", "#7048e8", "#868e96", "#0b7285")
STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e9ecef",
    "axes.prop_cycle": mpl.cycler(color=COLOURS),
    "lines.linewidth": 2,
    "lines.marker": "o",
    "lines.markersize": 5,
    "legend.frameon": False,
}
DPI = 110


def save(figure: Figure, path: Path) -> None:
    """Write a PNG that is the same for the same numbers."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=DPI, metadata={"Software": None})
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
