"""Evaluate codebooks and priors on held-out pictures: `python training/evaluate_codes.py`."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from models import checkpoint, code_edits
from models.codes import VQVAE
from models.codes_prior import ANY, OPEN, CodesPrior
from training import codebook, common, inpaint_metrics, metrics, table
from training.data import mnist, pictures
from training.data.pictures import Kind
from training.judge import SketchJudge, load_judge

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
"""On grids (cell 1) and pictures (cell: px a cell) alike; `splice` with the one before."""


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    kind: Kind = "digits"
    data_dir: Path = Path("data")
    checkpoints: Path = Path("checkpoints")
    judge: Path | None = None
    """Of digits or sketches; checkpoints/codes-judge or sketch-judge where None."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    edited: int = 1_000
    """Pictures on which edits are measured."""
    samples: int = 100
    """Drawn from the prior for each class."""
    remark: str = ""
    readme: Path | None = Path("README.md")
    split: Literal["valid", "test"] = "test"
    seed: int = 0


def psnr(a: Float[Tensor, "n c h w"], b: Float[Tensor, "n c h w"]) -> float:
    """10 log10(1 / mean squared error), dB, mean over the pictures."""
    error = (a - b).square().mean((1, 2, 3)).clamp(min=1e-10)
    return float((-10 * error.log10()).mean())


def many(act: Callable[[Tensor], Tensor], x: Tensor, size: int = 256) -> Tensor:
    """`act` on parts of a batch."""
    return torch.cat([act(part) for part in x.split(size)])


def judged(
    judge: SketchJudge, kind: Kind, x: Float[Tensor, "n 1 h w"]
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
    """Logits and features of drawings or digits."""
    ink = (x[:, 0].clamp(0, 1) * 255).round().byte().numpy()
    return judge.judge(mnist.enlarged(ink) if kind == "digits" else ink)


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
        a, b = ((p * 255).round().byte().permute(0, 2, 3, 1).numpy() for p in (again, x))
        found["ssim"] = inpaint_metrics.ssim(a, b, np.ones(a.shape[:3], bool))
    return found


def edits(
    kind: Kind,
    model: VQVAE,
    x: Float[Tensor, "n c h w"],
    labels: Int64[np.ndarray, " n"],
    judge: SketchJudge | None,
) -> dict[str, dict[str, float]]:
    """Edit, then decode, against decode, then edit; what the judge still reads of the first."""
    codes, found = many(model.encode, x), {}
    plain = many(model.decode, codes)
    for name, edit in EDITS.items():
        ours = many(model.decode, edit(codes, 1))
        pixels = edit(plain, model.config.cell)
        row = {"psnr": psnr(ours, pixels)}
        if judge is not None and name != "splice":
            for who, drawn in (("codes", ours), ("pixels", pixels)):
                logits, _ = judged(judge, kind, drawn)
                row[f"read_{who}"] = float((logits.argmax(1) == labels).mean())
        found[name] = row
    return found


def prior_nats(
    prior: CodesPrior, codes: Int64[Tensor, "n gh gw"], labels: Int64[np.ndarray, " n"]
) -> float:
    """Mean -log p(code | those before it, class) of grids read row by row."""
    named = bool(prior.config.names)
    label = torch.from_numpy(labels if named else np.full_like(labels, ANY))
    total = 0.0
    with torch.inference_mode():
        for some, told in zip(codes.split(256), label.split(256), strict=True):
            logits = prior(some, told)
            total += float(F.cross_entropy(logits.flatten(0, 1), some.flatten(), reduction="sum"))
    return total / codes.numel()


def sampled(
    cfg: Config,
    model: VQVAE,
    prior: CodesPrior,
    judge: SketchJudge,
    real: Float[np.ndarray, "n 128"],
) -> dict[str, float]:
    """Samples of every class: whether they are read as it, and their distance to real ones."""
    right, features = [], []
    for label in range(len(prior.config.names)):
        drawn = model.decode(prior.sample(cfg.samples, label, seed=cfg.seed + label))
        logits, seen = judged(judge, cfg.kind, drawn)
        right.append(logits.argmax(1) == label)
        features.append(seen)
    return {
        "read_as_asked": float(np.concatenate(right).mean()),
        "frechet": metrics.frechet(np.concatenate(features), real),
    }


def completed(
    cfg: Config,
    model: VQVAE,
    prior: CodesPrior,
    judge: SketchJudge,
    codes: Int64[Tensor, "n gh gw"],
    labels: Int64[np.ndarray, " n"],
) -> dict[str, float]:
    """The upper half kept, no class told: whether the rest is read as what it was."""
    keep = codes.clone()
    half = model.config.grid // 2
    keep[:, half:] = OPEN
    drawn = torch.cat(
        [prior.sample(1, keep=part, seed=cfg.seed + i) for i, part in enumerate(keep)]
    )
    bare = model.decode(codes)
    bare[..., half * model.config.cell :, :] = 0
    read = {
        name: float((judged(judge, cfg.kind, x)[0].argmax(1) == labels).mean())
        for name, x in (("completed", model.decode(drawn)), ("halves", bare))
    }
    return read | {"chance": 1 / len(prior.config.names)}


def evaluate_codes(cfg: Config) -> dict[str, Any]:
    """Every row of the table that needs no stop-watch."""
    model = checkpoint.load(cfg.checkpoints / f"codes-{cfg.kind}")
    size, cache = model.config.image_size, cfg.cache_dir.expanduser()
    pixels, labels = pictures.load(cfg.kind, cfg.data_dir, cfg.split, size, cache)
    x = torch.from_numpy(pixels).float() / 255
    codes = many(model.encode, x)
    counts = torch.bincount(codes.flatten(), minlength=model.config.codes).double()
    share = (counts / counts.sum()).clamp(min=1e-12)
    judge = None
    if cfg.kind != "faces":
        stem = "codes" if cfg.kind == "digits" else "sketch"
        judge = load_judge(cfg.judge or cfg.checkpoints / f"{stem}-judge" / "model.safetensors")
    pick = np.random.default_rng(cfg.seed).permutation(len(x))[: cfg.edited]
    result: dict[str, Any] = {
        "split": cfg.split,
        "remark": cfg.remark,
        "pictures": len(x),
        "reconstruction": reconstruction(cfg.kind, x, many(model.decode, codes)),
        "perplexity_over_k": codebook.perplexity(counts.float()) / model.config.codes,
        "dead_share": float((counts == 0).double().mean()),
        "edits": edits(cfg.kind, model, x[pick], labels[pick], judge),
        "nats_per_code": {
            "uniform": math.log(model.config.codes),
            "unigram": float(-(share * share.log()).sum()),
        },
    }
    folder = cfg.checkpoints / f"prior-{cfg.kind}"
    if folder.exists():
        prior = checkpoint.load(folder)
        result["nats_per_code"]["prior"] = prior_nats(prior, codes, labels)
        if judge is not None:
            real = judged(judge, cfg.kind, x)[1]
            result["samples"] = sampled(cfg, model, prior, judge, real)
            some = pick[:300]
            result["completion"] = completed(cfg, model, prior, judge, codes[some], labels[some])
    return result


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    folder = cfg.checkpoints / f"codes-{cfg.kind}"
    table.record(folder, evaluate_codes(cfg), cfg.readme, f"codes-{cfg.kind}")


if __name__ == "__main__":
    common.run(main, Config)
