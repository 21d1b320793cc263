"""A section of the Digits tab: the same request to all six models."""

import time
from functools import lru_cache

import gradio as gr
import numpy as np
from gradio.components import Component
from jaxtyping import UInt8

from tabs import model_cache
from tabs.components.picture_columns import PictureColumns
from tabs.digits import records
from tabs.digits.families import ANY, CLASSES, FAMILIES
from tabs.digits.sheets import sheet
from tabs.validation import MAX_SEED, check_choice, check_number

MAX_COUNT, MAX_TEMPERATURE, MAX_GUIDANCE, MAX_STEPS = 16, 2.0, 5.0, 100
COLUMNS = 4  # samples side by side
DEFAULTS = (ANY, 16, 1.0, 1.0, 20, 0)
DIFFUSION = "digits-diffusion"
ABOUT = """The same class and the same seed for six kinds of model. Under each: what it costs and
how good it is, all measured here on MNIST's test digits; milliseconds are those of just now, on
this machine."""
HINTS = """*Temperature* scales the noise that a model starts from: 0 gives its most typical digit,
above 1 it takes risks. *Guidance* and *steps* are of diffusion only: how strongly the class is
asked for, and how often noise is taken away."""
RARE = "A VAE and an autoencoder know no classes: a Gaussian fitted to each class stands in."


def settings_of(
    label: object, count: object, temperature: object, guidance: object, steps: object, seed: object
) -> tuple[int | None, int, float, float, int, int]:
    """The settings as numbers; an error for the visitor where one is not valid."""
    label = check_choice(label, "Class", [ANY, *CLASSES])
    return (
        None if label == ANY else int(label),
        check_number(count, "How many", 1, MAX_COUNT, whole=True),
        check_number(temperature, "Temperature", 0, MAX_TEMPERATURE),
        check_number(guidance, "Guidance", 0, MAX_GUIDANCE),
        check_number(steps, "Steps", 1, MAX_STEPS, whole=True),
        check_number(seed, "Seed", 0, MAX_SEED, whole=True),
    )


def sample(
    stem: str,
    label: int | None,
    count: int,
    temperature: float,
    guidance: float,
    steps: int,
    seed: int,
) -> UInt8[np.ndarray, "n 28 28"]:
    """Samples of one model; `guidance` and `steps` count for diffusion only."""
    model = model_cache.get_model(stem)
    own = {"guidance": guidance, "steps": steps} if stem == DIFFUSION else {}
    images = model.sample(count, label, temperature, seed, **own)
    return (images[:, 0] * 255).round().byte().numpy()


@lru_cache(maxsize=64)
def column(stem: str, *settings: float) -> tuple[str, float]:
    """A model's samples as one PNG in a data URL, and how many milliseconds they took."""
    model_cache.get_model(stem)  # its loading does not count
    began = time.perf_counter()
    digits = sample(stem, *settings)
    ms = 1_000 * (time.perf_counter() - began)
    rest = np.zeros((-len(digits) % COLUMNS, 28, 28), np.uint8)
    return sheet(np.concatenate([digits, rest]), COLUMNS), ms


def figures(stem: str, count: int, ms: float) -> list[list[str]]:
    """Rows of name and value; a dash where a figure was not measured."""
    record = records.read_json(stem, "metrics.json") or {}
    quality = record.get("samples", {})
    seconds = record.get("training_seconds")

    def shown(value: float | None, form: str) -> str:
        return "–" if value is None else format(value, form)

    size, parameters = record.get("bytes"), record.get("parameters")
    return [
        [f"{count} samples, now", f"{ms:.0f} ms"],
        ["Parameters", shown(parameters, ",")],
        ["File", "–" if size is None else f"{size / 1024:,.0f} KiB"],
        ["Training", "–" if seconds is None else f"{seconds / 60:.0f} min"],
        ["Class accuracy", shown(quality.get("class_accuracy"), ".1%")],
        ["Fréchet distance", shown(quality.get("frechet"), ".1f")],
        ["Precision", shown(quality.get("precision"), ".2f")],
        ["Recall", shown(quality.get("recall"), ".2f")],
    ]


def answer(*values: object) -> dict:
    """What the component shows for these settings."""
    settings = settings_of(*values)
    label, count = settings[0], settings[1]
    columns = []
    for name, family in FAMILIES.items():
        picture, ms = column(family.stem, *settings)
        columns.append(
            {
                "name": name,
                "picture": picture,
                "alt": f"{count} samples of the model {name}"
                + ("" if label is None else f", class {label}"),
                "words": family.words,
                "figures": figures(family.stem, count, ms),
                "loss": family.loss,
            }
        )
    return {"columns": columns, "said": f"{count} samples of each of {len(columns)} models."}


def build() -> tuple[list[Component], Component]:
    """Layout: the settings, and the columns that show what comes of them."""
    gr.Markdown(ABOUT, elem_classes="credit")
    label, count, temperature, guidance, steps, seed = DEFAULTS
    with gr.Row(elem_classes="digits-settings"):
        settings: list[Component] = [
            gr.Dropdown([ANY, *CLASSES], value=label, label="Class", elem_id="compare-class"),
            gr.Slider(1, MAX_COUNT, count, step=1, label="How many", buttons=[]),
            gr.Slider(
                0, MAX_TEMPERATURE, temperature, step=0.05, label="Temperature", buttons=[],
                elem_id="compare-temperature",
            ),
            gr.Slider(0, MAX_GUIDANCE, guidance, step=0.1, label="Guidance", buttons=[]),
            gr.Slider(1, MAX_STEPS, steps, step=1, label="Steps", buttons=[]),
            gr.Number(
                seed, label="Seed", precision=0, minimum=0, maximum=MAX_SEED, elem_id="compare-seed"
            ),
        ]  # fmt: skip
    columns = PictureColumns(elem_id="compare-columns")
    gr.Markdown(f"{HINTS} {RARE}", elem_classes="credit")
    return settings, columns


def warm() -> None:
    """Load the models and make the first samples."""
    answer(*DEFAULTS)
