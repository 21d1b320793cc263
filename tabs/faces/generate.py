"""A section of the Faces tab: sixteen new faces."""

import json
from typing import Any

import gradio as gr
from gradio.components import Component

from tabs import model_cache
from tabs.components.picture_strip import PictureStrip
from tabs.faces import portraits
from tabs.validation import MAX_SEED, check_number

ABOUT = """Nobody has these faces: a network that learnt what encoded faces look like makes up new
ones, another draws them. Click one to take it to the other sections."""
CHOICES = (
    "Smiling", "Male", "Young", "Eyeglasses", "Bald", "Blond_Hair", "Black_Hair", "Gray_Hair",
    "Goatee", "Mustache", "Wearing_Lipstick", "Heavy_Makeup", "Wearing_Hat",
)  # fmt: skip


def answer(on: object, off: object, temperature: object, seed: object) -> dict[str, Any]:
    """What the grid shows, and how each face is named when it is taken on."""
    heat = check_number(temperature, "Temperature", 0, portraits.MAX_TEMPERATURE)
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    asked = portraits.conditions(on, off)
    faces = model_cache.get_model(portraits.OURS).sample(portraits.SAMPLES, asked, heat, seed)
    described = {"seed": seed, "temperature": heat, "on": on or [], "off": off or []}
    return {
        "tiles": [portraits.url(face) for face in faces],
        "names": [f"face {i + 1}" for i in range(len(faces))],
        "faces": [json.dumps(described | {"index": i}) for i in range(len(faces))],
        "chosen": None,
        "said": f"{len(faces)} new faces.",
    }


def build() -> tuple[list[Component], PictureStrip]:
    """Layout: the settings over the grid."""
    gr.Markdown(ABOUT, elem_classes="credit")
    words = [portraits.readable(name) for name in CHOICES]
    with gr.Row(elem_classes="digits-settings"):
        on = gr.Dropdown(words, value=[], multiselect=True, label="With", elem_id="faces-on")
        off = gr.Dropdown(words, value=[], multiselect=True, label="Without", elem_id="faces-off")
        temperature = gr.Slider(
            0, portraits.MAX_TEMPERATURE, 0.8, step=0.05, label="Temperature", buttons=[]
        )
        seed = gr.Number(1, label="Seed", precision=0, minimum=0, maximum=MAX_SEED)
    reroll = gr.Button("Reroll", elem_id="faces-reroll")
    random_seed = f"() => Math.floor(Math.random() * {MAX_SEED})"
    reroll.click(None, None, seed, js=random_seed, api_visibility="private")
    grid = PictureStrip(elem_id="faces-grid")
    return [on, off, temperature, seed], grid
