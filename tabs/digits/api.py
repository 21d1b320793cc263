"""The endpoints of Digits: samples, a digit reconstructed or repaired, its style carried over."""

from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from jaxtyping import UInt8
from numpy import ndarray

from tabs.components.drawing_pad import parse_digit
from tabs.digits import compare, style, your_digit
from tabs.digits.families import ANY, FAMILIES
from tabs.image_encoding import encode_png
from tabs.server.uploads import accept_uploads_only
from tabs.validation import MAX_SEED, check_choice, check_number, user_error

MODELS = {family.stem.removeprefix("digits-"): family.stem for family in FAMILIES.values()}
MAX_COUNT = 64
TASKS = dict(zip(("reconstruct", "denoise", "inpaint"), your_digit.TASKS, strict=True))


def sample_digits(
    model: str = "cvae",
    label: Any = None,
    count: int = 16,
    temperature: float = 1.0,
    seed: int = 0,
    steps: int = 20,
    guidance: float = 1.0,
) -> list[dict]:
    """Digits that a model makes up, as PNG files, 28x28, white on black.

    `model` is "ae", "vae", "cvae", "vq", "gan" or "diffusion"; `label` a class from 0 to 9, or None
    for any. The same `seed` gives the same digits; `temperature` 0 the most typical ones. `steps`
    and `guidance` are of diffusion only.
    """
    stem = MODELS[check_choice(model, "Model", list(MODELS))]
    digits = compare.sample(
        stem,
        _label(label),
        check_number(count, "Count", 1, MAX_COUNT, whole=True),
        check_number(temperature, "Temperature", 0, compare.MAX_TEMPERATURE),
        check_number(guidance, "Guidance", 0, compare.MAX_GUIDANCE),
        check_number(steps, "Steps", 1, compare.MAX_STEPS, whole=True),
        check_number(seed, "Seed", 0, MAX_SEED, whole=True),
    )
    return [_file(pixels, f"{model}-{i + 1:02}.png") for i, pixels in enumerate(digits)]


def reconstruct_digit(
    drawing: Any,
    model: str = "vae",
    task: str = "reconstruct",
    sigma: float = 0.5,
    part: str = "centre",
    seed: int = 0,
) -> dict:
    """A digit as a model draws it again: {"picture", "seen": PNG files 28x28, "squared_error"}.

    `drawing` is a picture (`gradio_client.handle_file`, of any size and polarity), a PNG data URL,
    or a list of strokes `[[xs, ys], ...]` in px of a 256x256 canvas. `task` is "reconstruct",
    "denoise" (after noise of standard deviation `sigma` was added) or "inpaint" (after `part` was
    erased: "centre", "upper half", "lower half", "left half" or "right half"). `seen` is what the
    model got, `squared_error` the sum over the pixels, in [0, 1], against the undamaged digit.
    """
    stem = MODELS[check_choice(model, "Model", list(MODELS))]
    task = TASKS[check_choice(task, "Task", list(TASKS))]
    sigma = check_number(sigma, "Sigma", 0.05, your_digit.MAX_SIGMA)
    part = check_choice(part, "Part", list(your_digit.HOLES))
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    digit = parse_digit(drawing)
    seen = your_digit.damaged(digit, task, sigma, part, seed)
    try:
        out = your_digit.repair(stem, digit, task, sigma, part, seed)
    except ValueError as error:
        raise user_error(str(error)) from error
    return {
        "picture": _file(your_digit.to_pixels(out), f"{model}.png"),
        "seen": _file(your_digit.to_pixels(seen), "seen.png"),
        "squared_error": float(((out - digit) ** 2).sum()),
    }


def transfer_style(drawing: Any, label: Any = None) -> list[dict]:
    """The ten classes in the style of a digit, by the CVAE, as PNG files, 28x28, white on black.

    `drawing` as for /reconstruct_digit; `label` is its class, from 0 to 9, or None for the one that
    the model reads.
    """
    _, ten = style.transferred(parse_digit(drawing), _label(label))
    return [_file(your_digit.to_pixels(x[0].numpy()), f"{i}.png") for i, x in enumerate(ten)]


def _label(label: object) -> int | None:
    """A class, as a number or a text; None for any."""
    if label is None or label == ANY:
        return None
    if isinstance(label, str) and label.isdecimal():
        label = int(label)
    return check_number(label, "Label", 0, 9, whole=True)


def _file(pixels: UInt8[ndarray, "28 28"], name: str) -> dict:
    file = save_bytes_to_cache(encode_png(pixels), name, get_upload_folder())
    return gr.FileData(path=file, orig_name=name).model_dump()


def register() -> None:
    """Add the endpoints to the page being built."""
    gr.api(sample_digits, api_name="sample_digits", concurrency_id="model")
    for function in (reconstruct_digit, transfer_style):
        gr.api(function, api_name=function.__name__, concurrency_id="model")
        accept_uploads_only(Context.root_block, function.__name__)
