"""A section of the Digits tab: samples of each model over its training, beside its losses."""

from typing import Any

import gradio as gr
from gradio.context import Context

from tabs.components.training_film import EMPTY, TrainingFilm
from tabs.digits import records
from tabs.image_encoding import png_file_url
from tabs.validation import check_choice

MODELS = {
    "Autoencoder": "digits-ae",
    "VAE": "digits-vae",
    "CVAE": "digits-cvae",
    "GAN": "digits-gan",
    "Diffusion": "digits-diffusion",
    "VQ-VAE": "digits-vq",
}
FIRST, DIFFUSION, VQ = "VAE", "Diffusion", "VQ-VAE"
ABOUT = """Sixteen pictures from always the same noise, drawn at twelve points of the training: the
first after a few steps, the last by the finished model. A step learns from one batch of digits."""
VQ_NOTE = """The VQ-VAE has no film: it is the one of the Codes tab, trained there in two parts, a
codebook and then a prior, and what it has learnt is shown there as an atlas."""
TERMS = {
    "loss": "Loss, nats a digit: what training makes small",
    "recon": "Reconstruction error, nats a digit",
    "kl": "KL divergence, nats a digit: what the latent variable tells about the picture",
    "label": "Cross-entropy of the predicted class, nats",
    "generator": "Generator's loss, nats: small while it deceives",
    "discriminator": "Discriminator's loss, nats: small while it is not deceived",
}  # term of a loss curve -> its title
DIFFUSION_TERMS = TERMS | {
    "loss": "Squared error of the predicted noise over the signal's share, a pixel",
    "eps": "Squared error of the predicted noise, a pixel",
}


def film_value(name: str) -> dict[str, Any]:
    """What the component shows of a model: snapshots and losses, or a note why there are none."""
    stem = MODELS[name]
    if name == VQ:
        return EMPTY | {"note": VQ_NOTE}
    record, picture = records.read_json(stem, "training.json"), records.read(stem, "training.png")
    if record is None or picture is None or not record["snapshot_steps"]:
        return EMPTY | {
            "note": "The training of this model is not recorded: "
            f"`python training/train_digits.py --recipe {stem}` does it."
        }
    return {
        "sheet": png_file_url(picture),
        "snapshots": [
            {"steps": steps, "said": describe(record, steps)} for steps in record["snapshot_steps"]
        ],
        "total": record["steps"],
        "curves": loss_curves(record["curve"], DIFFUSION_TERMS if name == DIFFUSION else TERMS),
        "note": "",
    }


def describe(record: dict[str, Any], steps: int) -> str:
    """When a snapshot was drawn, in words."""
    digits = steps * record["batch_size"]
    seconds = record["seconds"] * steps / record["steps"]
    time = f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"
    count = "1 step" if steps == 1 else f"{steps:,} steps"
    return f"After {count}: {digits:,} digits seen, {time} of training."


def loss_curves(curve: dict[str, list[float]], titles: dict[str, str]) -> list[dict[str, Any]]:
    """The terms of the loss that have a title; the loss only where it is not its one term again."""
    terms = {name: curve[name] for name in titles if name in curve}
    if terms.get("loss") == terms.get("recon"):
        terms.pop("loss", None)
    steps = [step + 1 for step in curve.get("step", [])]
    return [
        {"title": titles[name], "points": [list(pair) for pair in zip(steps, values, strict=True)]}
        for name, values in terms.items()
    ]


def on_model(name: str) -> dict[str, Any]:
    """The film of a model."""
    return film_value(check_choice(name, "Model", tuple(MODELS)))


def warm() -> None:
    """Nothing to load: the films are files."""


def build() -> None:
    """Layout and events of the section."""
    section = Context.block
    gr.Markdown(ABOUT, elem_classes="credit")
    name = gr.Radio(list(MODELS), value=FIRST, label="Model", elem_id="film-model")
    film = TrainingFilm(elem_id="training-film")
    gr.on(
        [section.select, name.input], on_model, name, film, trigger_mode="always_last",
        api_visibility="private", show_progress="hidden",
    )  # fmt: skip
