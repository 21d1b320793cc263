"""What is asked of a fill: attributes on, off or open, or as the photo shows them."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

OFF, ON, UNKNOWN = range(3)
GLASSES = "Eyeglasses"
FIRMLY = 0.8  # how much of a wish is made: all of it makes grimaces of small holes
KEPT = ("Male", "Young", "Smiling")  # what a fill should leave as it was, if it is not told


class Reader(nn.Module):
    """Which attributes a whole face shows, from features (b, features, h, w) of any size."""

    def __init__(self, features: int, attributes: int):
        super().__init__()
        side, narrow, hidden = 4, 32, 64
        self.places = nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Conv2d(features, narrow, 1))
        self.head = nn.Sequential(
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(narrow * side**2, hidden),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Linear(hidden, attributes),
        )

    def forward(self, h: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Logits, in float32."""
        return self.head(self.places(h)).float()


def bare(told: Int64[Tensor, "b k"], names: tuple[str, ...]) -> Bool[Tensor, " b"]:
    """Whether glasses are to go."""
    if GLASSES not in names:
        return torch.zeros(len(told), dtype=torch.bool, device=told.device)
    return told[:, names.index(GLASSES)] == OFF


def unasked(told: Int64[Tensor, "b k"], names: tuple[str, ...]) -> Int64[Tensor, "b k"]:
    """The same with nothing wished for, but for the glasses: these are there or not."""
    whole = torch.tensor([name == GLASSES for name in names], device=told.device)
    return torch.where(whole, told, UNKNOWN)


def keeping(
    told: Int64[Tensor, "b k"], names: tuple[str, ...], logits: Float[Tensor, "b k"]
) -> Int64[Tensor, "b k"]:
    """Where glasses are to go, the attributes of `KEPT` left open become what the photo shows.

    Who wears glasses looks older to most classifiers; without this a fill makes people younger.
    """
    kept = torch.tensor([name in KEPT for name in names], device=told.device)
    stays = bare(told, names)[:, None] & kept & (told == UNKNOWN)
    return torch.where(stays, torch.where(logits > 0, ON, OFF), told)


def seeded_noise(count: int, width: int, seed: int) -> Float[Tensor, "n z"]:
    """Standard normal noise; the first rows do not depend on `count`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(width, generator=generator) for _ in range(count)])


def check(image: Tensor, mask: Tensor, size: int, count: int, temperature: float) -> None:
    """Refuse what `Inpainter.inpaint` cannot answer, in one sentence."""
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
