"""A section of the Faces tab: the way from one face to another, and a difference carried over."""

from typing import Any

import gradio as gr
from gradio.components import Component

from tabs import model_cache
from tabs.components.picture_columns import PictureColumns
from tabs.components.picture_strip import PictureStrip
from tabs.faces import films, portraits
from tabs.validation import check_choice

WAYS = ("straight", "great circle")
STEPS = 9
ABOUT = """The way from your face (A) to another one (B): a straight line between two latent
vectors, or a great circle, which keeps their length. Below: A - B + C, that is, C with what A has
more than B."""


def answer(text: object, second: object, third: object, way: object) -> dict[str, Any]:
    """What the columns show: the way as a strip and as a film, then A - B + C."""
    import torch

    from models.faces.latents import lerp, slerp

    way = check_choice(way, "Way", WAYS)
    model = model_cache.get_model(portraits.OURS)
    a, b, c = (portraits.open_portrait(face).z for face in (text, second, third))
    between = slerp if way == WAYS[1] else lerp
    path = torch.cat([between(a, b, i / (STEPS - 1)) for i in range(STEPS)])
    frames = model.decode(path)
    sums = model.decode(torch.cat([a, b, c, a - b + c]))
    columns = [
        {
            "name": f"From A to B, {way}",
            "picture": portraits.strip_url(frames),
            "alt": "Nine faces on the way from A to B",
        },
        {
            "name": "As a film",
            "picture": films.url(list(frames)),
            "alt": "A film of the way from A to B and back",
            "words": films.downloads(list(frames), "faces"),
        },
        {
            "name": "A, B, C, and A - B + C",
            "picture": portraits.strip_url(sums),
            "alt": "Three faces and the face A minus B plus C",
        },
    ]
    return {"columns": columns, "said": "The way from one face to the other."}


def build() -> tuple[list[Component], PictureColumns, list[tuple[PictureStrip, gr.Textbox]]]:
    """Layout: two strips to choose B and C from, the way, the columns."""
    gr.Markdown(ABOUT, elem_classes="credit")
    way = gr.Radio(WAYS, value=WAYS[0], label="Way", elem_id="faces-way")
    strips = []
    for name in ("B", "C"):
        gr.Markdown(f"Face {name}", elem_classes="credit")
        strip = PictureStrip(elem_id=f"faces-strip-{name.lower()}")
        face = gr.Textbox("", visible="hidden", elem_id=f"faces-{name.lower()}", container=False)
        strips.append((strip, face))
    columns = PictureColumns(elem_id="faces-mix")
    return [*(face for _, face in strips), way], columns, strips
