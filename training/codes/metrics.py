"""What the table of codes is made of: reconstruction, edits of both kinds, the prior's samples."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from models.classifiers import DrawingClassifier
from models.codes import edits as code_edits
from models.codes.prior import MASKED, UNCONDITIONAL, CodesPrior
from models.codes.vqvae import VQVAE
from training.codes.dataset import Kind
from training.data import mnist
from training.metrics.frechet import frechet_distance
from training.metrics.image import psnr, ssim

# on grids (cell 1) and pictures (cell: px a cell) alike; `splice` with the one before
EDITS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "shift by 1": lambda grid, cell: code_edits.shift(grid, x=cell),
    "shift by 2": lambda grid, cell: code_edits.shift(grid, x=2 * cell),
    "rotate": lambda grid, _: code_edits.rotate(grid),
    "flip x": lambda grid, _: code_edits.flip(grid, "x"),
    "flip y": lambda grid, _: code_edits.flip(grid, "y"),
    "splice": lambda grid, cell: code_edits.splice(
        grid, grid.roll(1, 0), grid.shape[-1] // cell // 2 * cell
    ),
}


def many(act: Callable[[Tensor], Tensor], x: Tensor, size: int = 256) -> Tensor:
    """`act` on parts of a batch."""
    return torch.cat([act(part) for part in x.split(size)])


def judged(
    classifier: DrawingClassifier, kind: Kind, x: Float[Tensor, "n 1 h w"]
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
    """Logits and features of drawings or digits."""
    ink = (x[:, 0].clamp(0, 1) * 255).round().byte().numpy()
    return classifier.predict(mnist.enlarge(ink) if kind == "digits" else ink)


def reconstruction(
    kind: Kind, x: Float[Tensor, "n c h w"], again: Float[Tensor, "n c h w"]
) -> dict[str, float]:
    """How near the decoded pictures are to the real ones."""
    found = {"mse": float((x - again).square().mean()), "psnr": psnr(x, again)}
    if kind == "sketches":
        both, either = (x > 0.5) & (again > 0.5), (x > 0.5) | (again > 0.5)
        share = both.sum((1, 2, 3)) / either.sum((1, 2, 3)).clamp(min=1)
        found["iou"] = float(share.mean())
    if kind == "faces":
        found["ssim"] = ssim(again, x)
    return found


def edits(
    kind: Kind,
    model: VQVAE,
    x: Float[Tensor, "n c h w"],
    labels: Int64[np.ndarray, " n"],
    classifier: DrawingClassifier | None,
) -> dict[str, dict[str, float]]:
    """Edit, then decode, against decode, then edit; how the classifier reads both."""
    codes, found = many(model.encode, x), {}
    plain = many(model.decode, codes)
    for name, edit in EDITS.items():
        ours = many(model.decode, edit(codes, 1))
        pixels = edit(plain, model.config.cell_size)
        row = {"psnr": psnr(ours, pixels)}
        if classifier is not None and name != "splice":
            for who, drawn in (("codes", ours), ("pixels", pixels)):
                logits, _ = judged(classifier, kind, drawn)
                row[f"read_{who}"] = float((logits.argmax(1) == labels).mean())
        found[name] = row
    return found


def prior_nats(
    prior: CodesPrior, codes: Int64[Tensor, "n gh gw"], labels: Int64[np.ndarray, " n"]
) -> float:
    """Mean -log p(code | those before it, class) of grids read row by row."""
    named = bool(prior.config.class_names)
    label = torch.from_numpy(labels if named else np.full_like(labels, UNCONDITIONAL))
    total = 0.0
    with torch.inference_mode():
        for some, told in zip(codes.split(256), label.split(256), strict=True):
            logits = prior(some, told)
            total += float(F.cross_entropy(logits.flatten(0, 1), some.flatten(), reduction="sum"))
    return total / codes.numel()


def sampled(
    kind: Kind,
    model: VQVAE,
    prior: CodesPrior,
    classifier: DrawingClassifier,
    real: Float[np.ndarray, "n 128"],
    count: int,
    seed: int,
) -> dict[str, float]:
    """`count` samples of each class: whether they are read as it, and the distance to real ones."""
    right, features = [], []
    for label in range(len(prior.config.class_names)):
        drawn = model.decode(prior.sample(count, label, seed=seed + label))
        logits, seen = judged(classifier, kind, drawn)
        right.append(logits.argmax(1) == label)
        features.append(seen)
    return {
        "read_as_asked": float(np.concatenate(right).mean()),
        "frechet": frechet_distance(np.concatenate(features), real),
    }


def completed(
    kind: Kind,
    model: VQVAE,
    prior: CodesPrior,
    classifier: DrawingClassifier,
    codes: Int64[Tensor, "n gh gw"],
    labels: Int64[np.ndarray, " n"],
    seed: int,
) -> dict[str, float]:
    """The upper half kept, no class told: whether the rest is read as what it was."""
    keep = codes.clone()
    half = model.config.grid_size // 2
    keep[:, half:] = MASKED
    drawn = torch.cat([prior.sample(1, known=part, seed=seed + i) for i, part in enumerate(keep)])
    bare = model.decode(codes).clone()
    bare[..., half * model.config.cell_size :, :] = 0
    read = {
        name: float((judged(classifier, kind, x)[0].argmax(1) == labels).mean())
        for name, x in (("completed", model.decode(drawn)), ("halves", bare))
    }
    return read | {"chance": 1 / len(prior.config.class_names)}
