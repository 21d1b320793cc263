"""A section of the Digits tab: the style of one digit carried to other classes."""

from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from jaxtyping import Float

from tabs import model_cache
from tabs.components.drawing_pad import DrawingPad, parse_digit
from tabs.components.picture_columns import PictureColumns
from tabs.digits.families import CLASSES, FAMILIES
from tabs.digits.sheets import sheet
from tabs.digits.your_digit import to_pixels
from tabs.image_encoding import png_url
from tabs.validation import check_choice, get_key

STRIP = 11  # pictures from one digit to the other
READ = "as it is read"
ABOUT = """Slant, width and pressure of a digit are its *style*. The CVAE is told the class
separately, so its latent variable holds nothing but the style: keep that, say another class, and
the same hand writes another digit."""
EMPTY_NOTE = "Draw a digit on the left: the ten classes in its style come here."


def answer(drawing: object, own: object, other: object) -> dict[str, Any]:
    """What the component shows: ten classes in the digit's style, and the way to one of them."""
    import torch

    if not get_key(drawing, "strokes") and not get_key(drawing, "base"):
        return {"columns": [], "note": EMPTY_NOTE}
    own = check_choice(own, "Class of your digit", [READ, *CLASSES])
    other = int(check_choice(other, "Another class", CLASSES))
    digit = parse_digit(drawing)
    label, ten = transferred(digit, None if own == READ else int(own))
    x = torch.from_numpy(digit)[None, None]
    vae = model_cache.get_model(FAMILIES["VAE"].stem)
    ends = vae.encode(torch.cat([x, ten[other : other + 1]]))
    share = torch.linspace(0, 1, STRIP)[:, None]
    path = vae.decode(ends[0] + share * (ends[1] - ends[0]))
    strips = {
        f"All classes in its style (yours is read as {label})": (ten, 10),
        f"From yours to a {other}": (path, STRIP),
    }
    own_column = {
        "name": "Your digit",
        "picture": png_url(to_pixels(digit)),
        "alt": "Your digit as the models get it",
    }
    words = (
        "By the CVAE: one latent vector, ten classes.",
        "By the VAE: a straight line between two latent vectors.",
    )
    columns = [
        {"name": name, "picture": pixels(images, count), "alt": name, "words": text}
        for (name, (images, count)), text in zip(strips.items(), words, strict=True)
    ]
    said = f"Your digit is read as {label}; ten classes in its style."
    return {"columns": [own_column, *columns], "said": said}


def transferred(digit: Float[np.ndarray, "28 28"], label: int | None) -> tuple[int, Any]:
    """The class of a digit, predicted where it is None, and (10, 1, 28, 28) in its style."""
    import torch

    cvae = model_cache.get_model(FAMILIES["CVAE"].stem)
    x = torch.from_numpy(digit)[None, None]
    read = cvae.predict_label(x) if label is None else torch.tensor([label])
    ten = cvae.transfer_style(x.expand(10, -1, -1, -1), torch.arange(10), read.expand(10))
    return int(read), ten


def pixels(images: Any, columns: int) -> str:
    """Pictures (n, 1, 28, 28) in [0, 1] as one strip."""
    return sheet((images[:, 0] * 255).round().byte().numpy().astype(np.uint8), columns)


def build() -> tuple[list[Component], Component]:
    """Layout: pad and classes, the strips."""
    with gr.Row(elem_classes="studio digits-style"):
        with gr.Column(elem_classes="studio-pad"):
            gr.Markdown(ABOUT, elem_classes="credit")
            drawing = DrawingPad(elem_id="style-pad")
        with gr.Column(elem_classes="studio-results"):
            with gr.Row(elem_classes="digits-settings"):
                own = gr.Dropdown(
                    [READ, *CLASSES], value=READ, label="Class of your digit", elem_id="style-own"
                )
                other = gr.Dropdown(
                    CLASSES, value="8", label="Another class", elem_id="style-other"
                )
            strips = PictureColumns({"columns": [], "note": EMPTY_NOTE}, elem_id="style-strips")
    return [drawing, own, other], strips


def warm() -> None:
    """Load the models and run each once."""
    answer({"strokes": [[[128, 128], [60, 200]]]}, READ, "8")
