"""Reference outputs of the shipped models, for inputs that are drawn here.

`python tests/golden.py` computes them and rewrites golden.json. Do that after a change of weights;
a change of code alone should leave the outputs as they are. References are computed in float32,
so they do not depend on whether the processor supports bfloat16.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor, nn
from torch.nn import functional as F

from models import checkpoint

FILE = Path(__file__).with_name("golden.json")
CIRCLE = [(48, 120), (72, 64), (128, 40), (184, 64), (208, 120), (184, 176), (128, 200), (72, 176)]
DRAWINGS = {
    "mug": [[(60, 80), (64, 210), (150, 210), (156, 80)], [(156, 100), (200, 140), (152, 180)]],
    "cone": [[(80, 110), (128, 230), (176, 110)], [(80, 110), (176, 110)]],
    "circle": [[*CIRCLE, CIRCLE[0]], [(100, 100), (100, 110)]],
}  # strokes of (x, y), px of a 256x256 canvas
MOUTH, EYES = (94, 36, 126, 92), (52, 22, 82, 106)  # top, left, bottom, right; px of 128x128


def ink(name: str, size: int = 64, pen: int = 12) -> Tensor:
    """A drawing as ink in [0, 1], (size, size)."""
    canvas = Image.new("L", (256, 256))
    for stroke in DRAWINGS[name]:
        ImageDraw.Draw(canvas).line(stroke, fill=255, width=pen, joint="curve")
    small = canvas.resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(small, np.float32) / 255)


def face(size: int) -> Tensor:
    """A blurred picture of a face, (3, size, size) in [0, 1]."""
    canvas = Image.new("RGB", (256, 256), (90, 110, 130))
    pen = ImageDraw.Draw(canvas)
    pen.ellipse((36, 8, 220, 230), fill=(60, 40, 30))  # hair
    pen.ellipse((52, 36, 204, 250), fill=(215, 165, 140))
    for x in (88, 166):
        pen.ellipse((x - 16, 125, x + 16, 140), fill=(45, 30, 30))
    pen.ellipse((114, 140, 142, 182), fill=(190, 140, 115))
    pen.ellipse((96, 202, 160, 218), fill=(165, 70, 75))
    blurred = canvas.filter(ImageFilter.GaussianBlur(4)).resize((size, size), Image.Resampling.BOX)
    return torch.from_numpy(np.array(blurred, np.float32) / 255).permute(2, 0, 1)


def coarse(pictures: Tensor, side: int) -> Tensor:
    """The mean of a batch of pictures, averaged to side x side."""
    return F.adaptive_avg_pool2d(pictures.mean(0, keepdim=True), side)[0]


@cache
def load(name: str) -> nn.Module:
    """A shipped model."""
    return checkpoint.load(name)


def labels() -> Tensor:
    """Probability of each label, given a drawing."""
    found = load("sketch").predict_label(ink("mug"))
    return torch.tensor([found[name] for name in load("sketch").labels])


def completions(drawing: str, label: str) -> Tensor:
    """Mean of 64 completions at temperature 1, on 8x8 squares."""
    drawn = load("sketch").complete(ink(drawing), label=label, count=64, temperature=1.0, seed=3)
    return coarse(drawn[:, None], 8)


def fills(
    hole: tuple[int, int, int, int], smile: bool | None, glasses: bool | None = None
) -> Tensor:
    """Mean of 4 fills at temperature 1, inside the hole, on 4x4 rectangles."""
    top, left, bottom, right = hole
    mask = torch.zeros(128, 128)
    mask[top:bottom, left:right] = 1
    made = load("inpaint").inpaint(face(128), mask, smile=smile, glasses=glasses, count=4, seed=1)
    return coarse(made[:, :, top:bottom, left:right], 4)


def encoded(kind: str) -> Tensor:
    """Codes of pictures."""
    size, pen = (28, 24) if kind == "digits" else (64, 12)
    inks = [ink(name, size, pen)[None] for name in DRAWINGS]
    pictures = torch.stack([face(64)] if kind == "faces" else inks)
    return load(f"codes-{kind}").encode(pictures)


def decoded(kind: str) -> Tensor:
    """What these codes decode to, on 8x8 squares."""
    return coarse(load(f"codes-{kind}").decode(encoded(kind)), 8)


def sampled(kind: str, label: str | None) -> Tensor:
    """Two grids that the prior draws."""
    return load(f"prior-{kind}").sample(2, label=label, temperature=1.0, seed=5)


VALUES: dict[str, Callable[[], Tensor]] = {
    "sketch/labels": labels,
    "sketch/any": lambda: completions("mug", "any"),
    "sketch/sun": lambda: completions("circle", "sun"),
    "inpaint/smile": lambda: fills(MOUTH, True),
    "inpaint/no smile": lambda: fills(MOUTH, False),
    "inpaint/glasses": lambda: fills(EYES, None, True),
    "codes/digits": lambda: encoded("digits"),
    "codes/sketches": lambda: encoded("sketches"),
    "codes/faces": lambda: encoded("faces"),
    "decoded/faces": lambda: decoded("faces"),
    "prior/digits": lambda: sampled("digits", "7"),
    "prior/sketches": lambda: sampled("sketches", "cat"),
    "prior/faces": lambda: sampled("faces", None),
}


@contextmanager
def without_bfloat16() -> Iterator[None]:
    """As on a processor that does not multiply bfloat16."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    with mock.patch.multiple(torch.cpu, **{name: lambda: False for name in names}):
        yield


def record() -> None:
    """Write golden.json, a value a line."""
    rows = []
    with without_bfloat16():
        for name, value in VALUES.items():
            numbers = value()
            if numbers.is_floating_point():
                numbers = (numbers.double() * 1e4).round() / 1e4
            rows.append(f"{json.dumps(name)}: {json.dumps(numbers.tolist())}")
    FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n")


if __name__ == "__main__":
    record()
