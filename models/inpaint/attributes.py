"""Attribute conditioning: each attribute of a fill is off, on or unknown (left to the model)."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

OFF, ON, UNKNOWN = range(3)
GLASSES = "Eyeglasses"
PRESERVED = ("Male", "Young", "Smiling")  # a fill keeps these as the photo shows them, unless asked


class AttributeHead(nn.Module):
    """Classifies the attributes of a face from a feature map of any size."""

    def __init__(self, features: int, attributes: int):
        super().__init__()
        side, reduced, hidden = 4, 32, 64
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Conv2d(features, reduced, 1))
        self.mlp = nn.Sequential(
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(reduced * side**2, hidden),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Linear(hidden, attributes),
        )

    def forward(self, h: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k"]:
        """Logits, in float32."""
        return self.mlp(self.pool(h)).float()


def removes_glasses(attributes: Int64[Tensor, "b k"], names: tuple[str, ...]) -> Bool[Tensor, " b"]:
    """Whether each face's glasses are to be removed."""
    if GLASSES not in names:
        return torch.zeros(len(attributes), dtype=torch.bool, device=attributes.device)
    return attributes[:, names.index(GLASSES)] == OFF


def null_attributes(
    attributes: Int64[Tensor, "b k"], names: tuple[str, ...]
) -> Int64[Tensor, "b k"]:
    """The unconditional attributes that guidance starts from: all unknown except the glasses.

    Glasses are there or not: half of a pair is no fill.
    """
    is_glasses = torch.tensor([name == GLASSES for name in names], device=attributes.device)
    return torch.where(is_glasses, attributes, UNKNOWN)


def fill_from_photo(
    attributes: Int64[Tensor, "b k"], names: tuple[str, ...], logits: Float[Tensor, "b k"]
) -> Int64[Tensor, "b k"]:
    """Set the unknown `PRESERVED` attributes to the photo's (logit > 0) where glasses are removed.

    Most classifiers see people with glasses as older; without this a fill makes them younger.
    """
    preserved = torch.tensor([name in PRESERVED for name in names], device=attributes.device)
    from_photo = removes_glasses(attributes, names)[:, None] & preserved & (attributes == UNKNOWN)
    return torch.where(from_photo, torch.where(logits > 0, ON, OFF), attributes)


def seeded_noise(count: int, width: int, seed: int) -> Float[Tensor, "n z"]:
    """Standard normal noise; the first rows do not depend on `count`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randn(width, generator=generator) for _ in range(count)])


def validate_inputs(image: Tensor, mask: Tensor, size: int, count: int, temperature: float) -> None:
    """Raise a ValueError, one sentence, for arguments that `Inpainter.inpaint` cannot take."""
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
