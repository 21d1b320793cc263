"""A section of the Digits tab: what changes when a network, a loss or its data change."""

import html
from pathlib import Path

import gradio as gr
from gradio.context import Context

from tabs.digits import records
from tabs.image_encoding import png_file_url

FOLDER = Path(__file__).parents[2] / "docs" / "experiments"
ABOUT = """Each plot is many small trainings that differ in one thing; all of it is measured by
`python training/sweep_digits.py`. The tables are in `docs/experiments/`."""
MISSING = "Not measured yet: `python training/sweep_digits.py` does it."
EXPERIMENTS: tuple[tuple[str, str, str], ...] = (
    (
        "sizes",
        "How large must a VAE be?",
        "Two residual blocks at each resolution save 8 nats a digit, wider layers 12. Of latent "
        "numbers 2 are far too few; more than 16 tell no more and cost as much as they help.",
    ),
    (
        "rate-distortion",
        "What does beta do?",
        "Beta trades information for likeness: at 0.1 the latent variable tells 51 nats about a "
        "digit, at 8 only 4, and the error nearly doubles. Their sum is least at 1, the true VAE.",
    ),
    (
        "collapse",
        "Why does the KL term fall to zero?",
        "Averaged over the pixels the error counts 784 times too little beside the KL term: the "
        "latent variable soon tells nothing, and warming the KL term up does not help. Summing the "
        "error, or dividing the KL term by 784 as well, keeps 11 nats.",
    ),
    (
        "diffusion-steps",
        "How many steps does diffusion need?",
        "Five steps are enough with the cosine schedule: more bring it no nearer to real digits. "
        "With two it fails, while the linear schedule draws clear but too typical digits.",
    ),
    (
        "augmentation",
        "Are generated digits any use?",
        "With 10 real digits a class, 300 generated ones lift a classifier from 84 % to 94-97 %, "
        "the GAN's most. With 100 they hardly matter, with 300 they only get in the way.",
    ),
)  # picture, question, what the plot says


def page() -> str:
    """All plots, each under its question and above two sentences of what it says."""
    parts = []
    for name, title, text in EXPERIMENTS:
        picture = records.read_file(FOLDER / f"{name}.png")
        if picture is None:
            return f'<p class="results-note">{MISSING}</p>'
        parts.append(
            f'<figure class="experiment"><h3>{html.escape(title)}</h3>'
            f'<img src="{png_file_url(picture)}" alt="Plot: {html.escape(text)}">'
            f"<figcaption>{html.escape(text)}</figcaption></figure>"
        )
    return f'<div class="experiments">{"".join(parts)}</div>'


def warm() -> None:
    """Nothing to load: the plots are files."""


def build() -> None:
    """Layout and events of the section."""
    section = Context.block
    gr.Markdown(ABOUT, elem_classes="credit")
    plots = gr.HTML(elem_id="digits-experiments")
    section.select(page, None, plots, api_visibility="private", show_progress="hidden")
