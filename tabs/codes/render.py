"""Codes as pictures: what they decode to, a colour for each, the atlas of all of them."""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from tabs.codes import pictures as codes_picture
from tabs.components import codebook_atlas
from tabs.image_encoding import png_url

COLUMNS, MAX_ATLAS = 16, 1024  # of the atlas: tiles a row, codes that it shows
NO_PIXELS = "An edit of single codes has no counterpart in pixels."


def pixels(picture, kind: str) -> UInt8[np.ndarray, "h w *c"]:
    """(c, h, w) in [0, 1] as it is shown: sketches dark on light, digits light on dark."""
    light = 1 - picture if kind == "sketches" else picture
    levels = (light.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return levels if levels.shape[2] == 3 else levels[..., 0]


def picture(drawn, kind: str) -> str:
    """(c, h, w) in [0, 1] as data URL."""
    return png_url(pixels(drawn, kind))


@lru_cache(maxsize=4)
def colours(kind: str) -> list[str]:
    """A colour for each code; alike vectors have alike ones.

    The vectors' ranks along the first three principal axes of the codebook, as lightness and hue.
    """
    book = codes_picture.model(kind).codebook.detach().numpy()
    centred = book - book.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:3]
    ranks = (centred @ axes.T).argsort(0).argsort(0) / max(len(book) - 1, 1)
    ranks = np.pad(ranks, ((0, 0), (0, 3 - ranks.shape[1])), constant_values=0.5)
    return [_colour(*rank) for rank in ranks.tolist()]


def _colour(light: float, first: float, second: float) -> str:
    """HSL of three numbers in [0, 1]: the last two are a point in the plane of hue and chroma."""
    x, y = first - 0.5, second - 0.5
    hue = math.degrees(math.atan2(y, x)) % 360
    return f"hsl({hue:.0f} {35 + 80 * math.hypot(x, y):.0f}% {28 + 50 * light:.0f}%)"


@lru_cache(maxsize=4)
def atlas_value(kind: str) -> dict[str, Any]:
    """What each code decodes to among its like, and how often it serves."""
    import torch

    model = codes_picture.model(kind)
    k, cell, side = model.config.num_codes, model.config.cell_size, 3
    if k > MAX_ATLAS:
        return codebook_atlas.EMPTY | {"kind": kind}
    grids = torch.arange(k)[:, None, None].repeat(1, 2 * side + 1, 2 * side + 1)
    drawn = torch.cat([model.decode(part) for part in grids.split(64)])
    edge = slice(side * cell - cell // 2, (side + 1) * cell + cell // 2)
    tiles = [pixels(one, kind) for one in drawn[:, :, edge, edge]]
    uses = model.code_counts.tolist()
    order = sorted(range(k), key=lambda code: -uses[code])
    blank = np.zeros_like(tiles[0])
    rows = [
        np.concatenate([tiles[c] for c in order[i : i + COLUMNS]], 1) for i in range(0, k, COLUMNS)
    ]
    missing = -k % COLUMNS
    rows[-1] = np.concatenate([rows[-1], *[blank] * missing], 1)
    share = [uses[code] / max(sum(uses), 1) for code in order]
    return {
        "kind": kind,
        "sheet": png_url(np.concatenate(rows)),
        "columns": COLUMNS,
        "rows": len(rows),
        "codes": [[code, part] for code, part in zip(order, share, strict=True)],
        "chosen": None,
    }


def psnr(a: Float[Any, "c h w"], b: Float[Any, "c h w"]) -> float:
    """10 log10(1 / mean squared error), dB; 99 where they are the same."""
    error = float((a - b).square().mean())
    return 99.0 if error < 1e-9 else -10 * math.log10(error)


def compared(ours, moved, kind: str) -> tuple[str, str]:
    """The picture edited in pixels, and in a sentence how far the decoded codes are from it."""
    if moved is None or moved.shape != ours.shape:
        return "", NO_PIXELS
    return picture(moved, kind), f"{psnr(ours, moved):.1f} dB apart from the edited codes"
