"""How the published VAEs' losses went in training: `python training/plot_faces.py`.

Reads the curves in checkpoints/*/training.json, writes docs/faces-kl.png.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from training.engine.cli import run
from training.engine.plots import STYLE, save

NAMES = {"faces-vae": "Paunovic 2023", "faces-plain": "Hou et al. 2017"}


@dataclass(frozen=True)
class Config:
    """What is read and written."""

    checkpoints: Path = Path("checkpoints")
    out: Path = Path("docs/faces-kl.png")


def plot_losses(curves: dict[str, dict[str, list[float]]]) -> Figure:
    """Half the squared error beside the KL divergence, nats by steps; a line a model."""
    figure = Figure((8.4, 3.2), layout="constrained")
    terms = {"recon": "half the squared error", "kl": "KL(q(z | x) || N(0, I)), nats"}
    for axes, (term, title) in zip(figure.subplots(1, 2), terms.items(), strict=True):
        for name, curve in curves.items():
            axes.plot(curve["step"], curve[term], marker="", label=name)
        axes.set(title=title, xlabel="steps of 64 faces")
        axes.set_ylim(bottom=0)
        axes.legend()
    return figure


def main(cfg: Config) -> None:
    """Draw what is there."""
    curves = {
        label: json.loads((cfg.checkpoints / name / "training.json").read_bytes())["curves"]["vae"]
        for name, label in NAMES.items()
    }
    with mpl.rc_context(STYLE):
        save(plot_losses(curves), cfg.out)


if __name__ == "__main__":
    run(main, Config)
