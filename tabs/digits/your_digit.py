"""A section of the Digits tab: the visitor's digit, reconstructed or repaired by all six models."""

from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from jaxtyping import Float

from tabs import model_cache
from tabs.components.drawing_pad import DrawingPad, parse_digit
from tabs.components.picture_columns import PictureColumns
from tabs.components.picture_strip import PictureStrip
from tabs.digits.families import CLASSES, FAMILIES
from tabs.image_encoding import png_url
from tabs.validation import check_choice, check_number, get_key

RECONSTRUCT, DENOISE, FILL = TASKS = ("Reconstruct", "Take noise away", "Fill in a part")
MAX_SIGMA = 1.0
HOLES = {
    "centre": (slice(7, 21), slice(7, 21)),
    "upper half": (slice(0, 14), slice(0, 28)),
    "lower half": (slice(14, 28), slice(0, 28)),
    "left half": (slice(0, 28), slice(0, 14)),
    "right half": (slice(0, 28), slice(14, 28)),
}  # rows and columns of 28x28 px that are erased
HOLE_GREY = 96  # of 255: what is erased, as shown
EXAMPLE_SEED = 3
ABOUT = """Draw a digit: every model encodes it and draws it again, as well as it can. Or damage it,
and see how each repairs it. No picture of MNIST is shipped; the examples are our GAN's samples."""
EMPTY_NOTE = "Draw a digit on the left, or take one of the examples."


def repair(
    stem: str, digit: Float[np.ndarray, "28 28"], task: str, sigma: float, hole: str, seed: int
) -> Float[np.ndarray, "28 28"]:
    """What a model makes of a digit: reconstructed, without added noise, or filled in."""
    import torch

    from models.digits.base import add_noise

    model, x = model_cache.get_model(stem), torch.from_numpy(digit)[None, None]
    if task == DENOISE:
        out = model.denoise(add_noise(x, sigma, seed), sigma, seed)
    elif task == FILL:
        mask = torch.zeros(28, 28)
        mask[HOLES[hole]] = 1
        out = model.inpaint(x, mask, seed)
    else:
        out = model.reconstruct(x)
    return out[0, 0].numpy()


def damaged(
    digit: Float[np.ndarray, "28 28"], task: str, sigma: float, hole: str, seed: int
) -> Float[np.ndarray, "28 28"]:
    """The digit as the models get it, for the eye: the hole is grey."""
    import torch

    from models.digits.base import add_noise

    if task == DENOISE:
        noisy = add_noise(torch.from_numpy(digit)[None, None], sigma, seed)
        return noisy[0, 0].clamp(0, 1).numpy()
    shown = digit.copy()
    if task == FILL:
        shown[HOLES[hole]] = HOLE_GREY / 255
    return shown


def to_pixels(digit: Float[np.ndarray, "28 28"]) -> np.ndarray:
    """[0, 1] to 0..255."""
    return (255 * digit).round().astype(np.uint8)


def answer(drawing: object, task: object, sigma: object, hole: object, seed: object) -> dict:
    """What the component shows: the digit as the models get it, and six pictures of it."""
    if not get_key(drawing, "strokes") and not get_key(drawing, "base"):
        return {"columns": [], "note": EMPTY_NOTE}
    task, hole = check_choice(task, "Task", TASKS), check_choice(hole, "Part", list(HOLES))
    sigma = check_number(sigma, "Noise", 0.05, MAX_SIGMA)
    seed = check_number(seed, "Seed", 0, 2**31 - 1, whole=True)
    digit = parse_digit(drawing)
    seen = damaged(digit, task, sigma, hole, seed)
    columns: list[dict[str, Any]] = []
    for name, family in FAMILIES.items():
        out = repair(family.stem, digit, task, sigma, hole, seed)
        error = float(np.square(out - digit).sum())
        columns.append(
            {
                "name": name,
                "picture": png_url(to_pixels(out)),
                "alt": f"Your digit by the model {name}",
                "figures": [["Squared error", f"{error:.1f}"]],
            }
        )
    own = {"name": "What the models get", "picture": png_url(to_pixels(seen)), "alt": "Your digit"}
    return {
        "columns": [own, *columns],
        "digit": png_url(to_pixels(digit)),
        "said": f"{task}: six pictures of your digit.",
    }


def examples() -> list[str]:
    """A digit of each class by the GAN, as the pad takes pictures: dark on light, 64x64."""
    import torch
    from torch.nn import functional as F

    model = model_cache.get_model(FAMILIES["GAN"].stem)
    digits = torch.cat([model.sample(1, label, 0.7, EXAMPLE_SEED) for label in range(10)])
    large = F.interpolate(digits, (64, 64), mode="bicubic", antialias=True).clamp(0, 1)
    return [png_url(to_pixels(1 - digit[0].numpy())) for digit in large]


def build() -> tuple[list[Component], Component, PictureStrip, gr.Button]:
    """Layout: pad and settings, the columns, the strip of examples, the button to Codes."""
    with gr.Row(elem_classes="studio digits-own"):
        with gr.Column(elem_classes="studio-pad"):
            gr.Markdown(ABOUT, elem_classes="credit")
            drawing = DrawingPad(elem_id="digits-pad")
            strip = PictureStrip(elem_id="digits-examples")
            send = gr.Button("Send to Codes", elem_id="digits-to-codes")
        with gr.Column(elem_classes="studio-results"):
            with gr.Row(elem_classes="digits-settings"):
                task = gr.Radio(TASKS, value=TASKS[0], label="Task", elem_id="digits-task")
                sigma = gr.Slider(0.05, MAX_SIGMA, 0.5, step=0.05, label="Noise", buttons=[])
                hole = gr.Dropdown(list(HOLES), value="centre", label="Part", elem_id="digits-part")
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1)
            columns = PictureColumns({"columns": [], "note": EMPTY_NOTE}, elem_id="digits-own")
    return [drawing, task, sigma, hole, seed], columns, strip, send


def warm() -> None:
    """Load the models and run each once."""
    stroke = {"strokes": [[[128, 128], [60, 200]]]}
    answer(stroke, FILL, 0.5, "centre", 0)
    examples()


def example_sheet() -> dict[str, Any]:
    """The strip's value."""
    return {"tiles": examples(), "names": [f"a {label}" for label in CLASSES], "chosen": None}
