"""A section of the Faces tab: which latent dimensions carry how much, and what they do."""

from functools import lru_cache
from typing import Any

import gradio as gr

from tabs import model_cache
from tabs.components.picture_columns import PictureColumns
from tabs.faces import portraits

LARGEST = 10
FACES = 48  # samples whose posteriors are averaged
STEPS = 7
REACH = 3.0  # standard deviations of a latent dimension
ABOUT = """How many nats each latent dimension says about a face: the KL divergence of its posterior
from the prior, mean over 48 of our samples. The ten largest, each moved from -3 to +3 standard
deviations while all others stay."""


@lru_cache(maxsize=1)
def nats() -> tuple[Any, Any]:
    """Nats of each latent dimension, and the spread of its means."""
    import torch

    model = model_cache.get_model(portraits.OURS)
    with torch.inference_mode():
        q = model.posterior(model.sample(FACES, seed=0))
        kl = 0.5 * (q.mu**2 + q.logvar.exp() - 1 - q.logvar)
        return kl.mean(0), q.mu.std(0)


def answer(text: object) -> dict[str, Any]:
    """What the columns show: a strip for each of the ten largest dimensions."""
    import torch

    model = model_cache.get_model(portraits.OURS)
    portrait = portraits.open_portrait(text)
    carried, spread = nats()
    order = carried.argsort(descending=True)[:LARGEST]
    steps = torch.linspace(-REACH, REACH, STEPS)
    z = portrait.z.repeat(len(order) * STEPS, 1)
    for row, i in enumerate(order.tolist()):
        z[row * STEPS : (row + 1) * STEPS, i] += steps * spread[i]
    strips = model.decode(z).split(STEPS)
    columns = [
        {
            "name": f"Dimension {i}: {carried[i]:.2f} nats",
            "picture": portraits.strip_url(strip),
            "alt": f"Seven faces, latent dimension {i} from -3 to +3 standard deviations",
        }
        for i, strip in zip(order.tolist(), strips, strict=True)
    ]
    total, active = float(carried.sum()), int((carried > 0.01).sum())
    words = f"{total:.0f} nats in all, in {active} of {len(carried)} dimensions."
    return {"columns": columns, "note": words, "said": words}


def build() -> PictureColumns:
    """Layout: the columns."""
    gr.Markdown(ABOUT, elem_classes="credit")
    return PictureColumns(elem_id="faces-inside")
