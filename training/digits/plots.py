"""Plots and tables of the experiments with digits, for docs/ and the page."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.engine.plots import STYLE, save
from training.engine.run_state import atomic_write

FAMILIES = {
    "nothing": "nothing",
    "ae": "autoencoder",
    "vae": "VAE",
    "cvae": "CVAE",
    "vq": "VQ-VAE",
    "gan": "GAN",
    "diffusion": "diffusion",
}
SIZES = {"vae depth": "residual blocks", "vae width": "channels", "vae latent": "latent size"}
Found = dict[str, Any]


def write(folder: Path, found: Found) -> None:
    """Write a PNG for each experiment, and README.md with the tables."""
    draw = {
        "sizes": plot_sizes,
        "rate-distortion": plot_rate_distortion,
        "collapse": plot_collapse,
        "diffusion-steps": plot_diffusion,
        "augmentation": plot_augmentation,
    }
    with mpl.rc_context(STYLE):
        for name, plot in draw.items():
            save(plot(found), folder / f"{name}.png")
    with atomic_write(folder / "README.md") as file:
        file.write(tables(found).encode())


def _figure(columns: int = 1, width: float = 6.4) -> tuple[Figure, list[Axes]]:
    figure = Figure((width, 3.6), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False, sharey=columns > 1)[0])


def plot_sizes(found: Found) -> Figure:
    """Negative ELBO against depth, width and latent size."""
    figure, axes = _figure(3, 9.0)
    for axis, (key, title) in zip(axes, SIZES.items(), strict=True):
        values = [row["value"] for row in found[key]]
        axis.plot(range(len(values)), [row["negative_elbo"] for row in found[key]])
        axis.set_xticks(range(len(values)), [f"{value:g}" for value in values])
        axis.set_xlabel(title)
    axes[0].set_ylabel("negative ELBO, nats a digit")
    return figure


def plot_rate_distortion(found: Found) -> Figure:
    """Reconstruction error against what the latent variables tell, a point for each beta."""
    figure, (axis,) = _figure()
    rows = found["vae beta"]
    axis.plot([row["rate"] for row in rows], [row["distortion"] for row in rows])
    for row in rows:
        axis.annotate(
            f"β = {row['value']:g}", (row["rate"], row["distortion"]), (6, 5),
            textcoords="offset points",
        )  # fmt: skip
    axis.set_xlabel("rate: KL divergence, nats a digit")
    axis.set_ylabel("distortion: reconstruction, nats a digit")
    axis.margins(x=0.12)
    return figure


def plot_collapse(found: Found) -> Figure:
    """The KL term over training for each reduction of the squared error."""
    figure, (axis,) = _figure(width=7.4)
    for row in found["collapse"]:
        axis.plot(row["step"], [max(kl, 1e-4) for kl in row["kl"]], marker="", label=row["name"])
    axis.set_yscale("log")
    axis.set_xlabel("training step")
    axis.set_ylabel("KL divergence, nats a digit")
    axis.legend(title="squared error", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def plot_diffusion(found: Found) -> Figure:
    """Class accuracy and Frechet distance against the number of DDIM steps."""
    figure = Figure((9.0, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    part = found["diffusion"]
    for axis, key in zip(axes, ("class_accuracy", "frechet"), strict=True):
        for schedule in dict.fromkeys(row["schedule"] for row in part["rows"]):
            rows = [row for row in part["rows"] if row["schedule"] == schedule]
            steps = [f"{row['steps']}" for row in rows]
            axis.plot(steps, [row[key] for row in rows], label=f"{schedule} schedule")
        axis.axhline(part["real"][key], color="#868e96", linestyle="--", label="real digits")
        axis.set_xlabel("DDIM steps")
    axes[0].set_ylabel("class accuracy")
    axes[1].set_ylabel("Fréchet distance")
    axes[1].set_yscale("log")
    axes[1].legend()
    return figure


def plot_augmentation(found: Found) -> Figure:
    """Test accuracy against the number of real digits, with and without synthetic ones."""
    figure, (axis,) = _figure(width=7.4)
    part = found["augmentation"]
    for name, values in part["accuracy"].items():
        alone = name == "nothing"
        axis.plot(
            [f"{n}" for n in part["real"]], values, label=FAMILIES[name],
            color="black" if alone else None, linestyle="--" if alone else "-",
        )  # fmt: skip
    axis.set_xlabel("real digits a class")
    axis.set_ylabel("test accuracy of a classifier")
    axis.legend(title="with digits of", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def table(header: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    lines = [list(header), *([f"{cell}" for cell in row] for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def tables(found: Found) -> str:
    """docs/experiments/README.md: every plot and its figures."""
    sizes = [
        (title, f"{row['value']:g}", f"{row['parameters']:,}", f"{row['negative_elbo']:.1f}",
         f"{row['distortion']:.1f}", f"{row['rate']:.1f}", row["active"])
        for key, title in (SIZES | {"vae beta": "beta"}).items()
        for row in found[key]
    ]  # fmt: skip
    collapse = [
        (row["name"], f"{row['rate']:.2f}", row["active"], f"{row['psnr']:.1f}")
        for row in found["collapse"]
    ]
    diffusion = [
        (row["schedule"], row["steps"], f"{row['class_accuracy']:.3f}", f"{row['frechet']:.1f}",
         f"{row['sample_16_ms']:.0f}")
        for row in found["diffusion"]["rows"]
    ]  # fmt: skip
    part, real = found["augmentation"], found["diffusion"]["real"]
    augmentation = [
        (FAMILIES[name], *(f"{value:.3f}" for value in values))
        for name, values in part["accuracy"].items()
    ]
    return f"""# Experiments with digits

Rendered from `digits.json` by `python training/sweep_digits.py`, which runs all of them; do not
edit this file. Rate (the KL divergence), distortion (the reconstruction error) and their sum, the
negative ELBO, are nats a digit of the binarised test split.

## Depth, width, latent size and beta of a VAE

![Negative ELBO by depth, width and latent size](sizes.png)
![Rate against distortion](rate-distortion.png)

{table(("varied", "value", "parameters", "negative ELBO", "distortion", "rate", "in use"), sizes)}

In use are the latent dimensions whose mean KL divergence is above 0.02 nats.

## Posterior collapse

![KL divergence over training](collapse.png)

{table(("squared error", "rate", "in use", "PSNR, dB"), collapse)}

## Steps and schedule of diffusion

![Class accuracy and Fréchet distance by steps](diffusion-steps.png)

{table(("schedule", "steps", "class accuracy", "Fréchet distance", "16 samples, ms"), diffusion)}

As many real training digits: {real["class_accuracy"]:.3f} and {real["frechet"]:.1f}.

## Synthetic digits as training data

![Accuracy by number of real digits](augmentation.png)

{table(("with digits of", *(f"{n} real a class" for n in part["real"])), augmentation)}

The models learnt from all 55,000 labelled digits: what they add here is what they kept of those,
not knowledge out of nothing.
"""
