"""Codes as pictures: decoded images, a colour for each code, the atlas of a codebook."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from tabs.codes.pictures import get_vqvae
from tabs.components import codebook_atlas
from tabs.image_encoding import png_url

ATLAS_COLUMNS = 16
ATLAS_MAX_CODES = 1024
ATLAS_MARGIN = 3  # cells of the same code around the one that is shown
SIMILARITY = (  # from so many dB
    (40, "nearly the same"), (27, "very similar"), (20, "similar"), (13, "different"),
    (-math.inf, "very different"),
)  # fmt: skip
NO_PIXELS = "An edit of single codes has no counterpart in pixels."


def to_pixels(image, kind: str) -> UInt8[np.ndarray, "h w *c"]:
    """(c, h, w) in [0, 1] as displayed: sketches dark on light, digits light on dark."""
    light = 1 - image if kind == "sketches" else image
    levels = (light.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return levels if levels.shape[2] == 3 else levels[..., 0]


def to_url(image, kind: str) -> str:
    """(c, h, w) in [0, 1] as a data URL."""
    return png_url(to_pixels(image, kind))


def strip_value(images, kind: str) -> dict[str, Any]:
    """The value of the strip of pictures."""
    return {"tiles": [to_url(image, kind) for image in images], "names": [], "chosen": None}


@lru_cache(maxsize=4)
def code_colours(kind: str) -> list[str]:
    """A CSS colour for each code; similar vectors have similar ones.

    The vectors' ranks along the codebook's first three principal axes, as lightness and hue.
    """
    vectors = get_vqvae(kind).codebook.detach().numpy()
    centred = vectors - vectors.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    ranks = (centred @ axes.T).argsort(0).argsort(0) / max(len(vectors) - 1, 1)
    ranks = np.pad(ranks, ((0, 0), (0, 3 - ranks.shape[1])), constant_values=0.5)
    return [_hsl(*rank) for rank in ranks.tolist()]


def _hsl(light: float, first: float, second: float) -> str:
    """HSL of three numbers in [0, 1]: the last two are a point in the plane of hue and chroma."""
    x, y = first - 0.5, second - 0.5
    hue = math.degrees(math.atan2(y, x)) % 360
    return f"hsl({hue:.0f} {35 + 80 * math.hypot(x, y):.0f}% {28 + 50 * light:.0f}%)"


@lru_cache(maxsize=4)
def atlas_value(kind: str) -> dict[str, Any]:
    """The decoded patch of each code within a uniform grid, and its frequency, descending."""
    import torch

    model = get_vqvae(kind)
    k, cell = model.config.num_codes, model.config.cell_size
    if k > ATLAS_MAX_CODES:
        return codebook_atlas.EMPTY | {"kind": kind}
    side = 2 * ATLAS_MARGIN + 1
    grids = torch.arange(k)[:, None, None].repeat(1, side, side)
    decoded = torch.cat([model.decode(part) for part in grids.split(64)])
    inside = slice(ATLAS_MARGIN * cell - cell // 2, (ATLAS_MARGIN + 1) * cell + cell // 2)
    tiles = [to_pixels(image, kind) for image in decoded[:, :, inside, inside]]
    counts = model.code_counts.tolist()
    order = sorted(range(k), key=lambda code: -counts[code])
    blanks = [np.zeros_like(tiles[0])] * (-k % ATLAS_COLUMNS)
    cells = [*(tiles[code] for code in order), *blanks]
    rows = [
        np.concatenate(cells[i : i + ATLAS_COLUMNS], 1) for i in range(0, len(cells), ATLAS_COLUMNS)
    ]
    frequencies = [counts[code] / max(sum(counts), 1) for code in order]
    return {
        "kind": kind,
        "sheet": png_url(np.concatenate(rows)),
        "columns": ATLAS_COLUMNS,
        "rows": len(rows),
        "codes": [list(pair) for pair in zip(order, frequencies, strict=True)],
        "chosen": None,
    }


def psnr(a: Float[Any, "c h w"], b: Float[Any, "c h w"]) -> float:
    """10 log10(1 / mean squared error), dB; 99 for identical images."""
    error = float((a - b).square().mean())
    return 99.0 if error < 1e-9 else -10 * math.log10(error)


def similarity(a: Float[Any, "c h w"], b: Float[Any, "c h w"]) -> str:
    """The PSNR of two images in a word and in dB."""
    decibels = psnr(a, b)
    if decibels >= 99:
        return "identical"
    word = next(word for limit, word in SIMILARITY if decibels >= limit)
    return f"{word} ({decibels:.1f} dB)"


def compare(by_codes, by_pixels, kind: str) -> tuple[str, str]:
    """The picture edited in pixels as a data URL, and how similar the edited codes' one is."""
    if by_pixels is None or by_pixels.shape != by_codes.shape:
        return "", NO_PIXELS
    return to_url(by_pixels, kind), f"Beside the edited codes: {similarity(by_codes, by_pixels)}."
