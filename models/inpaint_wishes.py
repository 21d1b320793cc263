"""What may be asked of a fill, what a call must be like, and what the network may look at."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.regions import REGIONS, UNITS

OFF, ON, UNKNOWN = range(3)
GLASSES = "Eyeglasses"
MARGIN = 4  # units around the region of the glasses in which what they hide is looked at
BLANK = 0.02  # what varies by less under a hole is no picture


def band(size: int) -> Float[Tensor, "s s"]:
    """1 where glasses may lie."""
    top, left, bottom, right = REGIONS["glasses"]
    rows, columns = ((torch.arange(size) + 0.5) * UNITS / size for _ in range(2))
    inside = (rows > top - MARGIN) & (rows < bottom + MARGIN)
    across = (columns > left - MARGIN) & (columns < right + MARGIN)
    return (inside[:, None] & across[None]).float()


def erased(
    image: Float[Tensor, "d 3 s s"],
    mask: Float[Tensor, "d 1 s s"],
    attributes: Int64[Tensor, "d k"],
    names: tuple[str, ...],
) -> Float[Tensor, "d 1 s s"]:
    """What the network must not see: the hole, and nothing less but where glasses are to go.

    There it sees the eyes through them, so that they stay those of the same person; unless the
    hole is of one colour, which means that somebody has erased it before.
    """
    if GLASSES not in names:
        return mask
    off = (attributes[:, names.index(GLASSES)] == OFF)[:, None, None, None]
    look = mask * band(mask.shape[-1]).to(mask)
    inside = look.bool()
    high = image.masked_fill(~inside, -1).amax((2, 3))
    low = image.masked_fill(~inside, 2).amin((2, 3))
    blank = ((high - low).amax(1) < BLANK)[:, None, None, None]
    return torch.where(off & ~blank, mask - look, mask)


def check(image: Tensor, mask: Tensor, size: int, count: int, temperature: float) -> None:
    """Refuse what `inpaint` cannot answer, in one sentence."""
    if tuple(image.shape) != (3, size, size) or tuple(mask.shape) != (size, size):
        raise ValueError(
            f"image must be (3, {size}, {size}) and mask ({size}, {size}): "
            f"{tuple(image.shape)} and {tuple(mask.shape)}"
        )
    if not image.is_floating_point() or not ((image >= 0) & (image <= 1)).all():
        raise ValueError("image must hold floats in [0, 1], no NaN")
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError("mask must be 0 (keep) or 1 (hole) everywhere")
    if not mask.any() or mask.all():
        raise ValueError("mask must have a hole (1), and something around it (0)")
    if not 1 <= count <= 64:
        raise ValueError(f"count must be 1 to 64: {count}")
    if not 0 <= temperature <= 10:
        raise ValueError(f"temperature must be 0 to 10: {temperature}")
