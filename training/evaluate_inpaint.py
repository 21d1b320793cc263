"""Evaluate the face inpainter on held-out faces: `python training/evaluate_inpaint.py`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from models import checkpoint
from models.face_judge import FaceJudge
from models.images import to_rgb
from models.inpaint import OFF, ON, UNKNOWN, Inpainter, seeded_noise
from models.inpaint_cvae import FaceCVAE
from models.regions import REGIONS, Region
from training import common, inpaint_metrics, metrics, table
from training.data import celeba, holes
from training.inpaint_metrics import Holes, Pictures

LOWER_FACE, MOUTH = Region(38, 12, 64, 52), Region(50, 21, 64, 45)
Fill = Callable[[Pictures, Holes, np.ndarray, int], Pictures]


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    checkpoint_dir: Path = Path("checkpoints/inpaint")
    stage_one_dir: Path = Path("runs/inpaint/stage-one")
    """The CVAE alone, as stage two found it."""
    paper_dir: Path = Path("runs/inpaint-paper/checkpoint")
    """The paper's configuration, trained by `train_inpaint.py --architecture paper`."""
    judge_dir: Path = Path("checkpoints/inpaint-judge")
    remark: str = ""
    """A sentence under the table: how long each was trained, say."""
    readme: Path | None = Path("README.md")
    """Gets the table; None leaves it alone."""
    split: Literal["valid", "test"] = "test"
    seed: int = 0


def filler(model: Inpainter | FaceCVAE) -> Fill:
    """One fill a face by a network, z drawn anew for each."""

    @torch.inference_mode()
    def fill(real: Pictures, hole: Holes, told: np.ndarray, seed: int) -> Pictures:
        noise = seeded_noise(len(real), model.config.latent_dim, seed)
        parts = []
        for i in range(0, len(real), 64):
            x, some = to_rgb(real[i : i + 64]), slice(i, i + 64)
            mask = torch.from_numpy(hole[some])[:, None].float()
            asked = torch.from_numpy(told[some])
            if isinstance(model, Inpainter):
                face = model.fill(x, mask, asked, noise[some])
            else:
                face = torch.where(mask > 0, published(model, x, mask, asked, noise[some]), x)
            parts.append((face * 255).round().byte().permute(0, 2, 3, 1).numpy())
        return np.concatenate(parts)

    return fill


def published(model: FaceCVAE, x: Tensor, mask: Tensor, asked: Tensor, noise: Tensor) -> Tensor:
    """The paper's CVAE at its own size, made as large as `x` (n, 3, h, w)."""
    size = model.config.image_size
    small = F.adaptive_avg_pool2d(x * (1 - mask), size)
    face = model.decode(model.encode(small).sample(noise), asked).sigmoid()
    return F.interpolate(face, x.shape[-2:], mode="bicubic", align_corners=False).clamp(0, 1)


def wishes(count: int, smile: int = UNKNOWN, glasses: int = UNKNOWN) -> np.ndarray:
    """The same wish for every face, (count, 2)."""
    return np.tile([smile, glasses], (count, 1))


def smiles(
    judge: FaceJudge, fill: Fill, real: Pictures, smiling: np.ndarray, region: Region, seed: int
) -> dict[str, float]:
    """How often the judge sees a smile, by what was asked for and what the face did before."""
    size = real.shape[1]
    hole = np.tile(holes.fill(region, size), (len(real), 1, 1))
    column = judge.config.attributes.index("Smiling")
    found = {}
    for name, wish in (("smile", ON), ("no_smile", OFF), ("open", UNKNOWN)):
        logits, _ = judge.judge(fill(real, hole, wishes(len(real), wish), seed))
        seen = logits[:, column] > 0
        for before, rows in (("smiling", smiling), ("serious", ~smiling)):
            found[f"{name}_asked_{before}_before"] = float(seen[rows].mean())
    return found


def glasses_off(judge: FaceJudge, fill: Fill, real: Pictures, seed: int) -> dict[str, float | int]:
    """On faces whose glasses the judge sees: how often they go, and what else stays as it was."""
    if not len(real):
        return {"faces": 0}
    hole = np.tile(holes.fill(REGIONS["glasses"], real.shape[1]), (len(real), 1, 1))
    before, _ = judge.judge(real)
    after, _ = judge.judge(fill(real, hole, wishes(len(real), glasses=OFF), seed))
    column = judge.config.attributes.index
    kept = {
        name: float(((before > 0) == (after > 0))[:, column(name)].mean())
        for name in ("Male", "Young", "Smiling")
    }
    gone = float((after[:, column("Eyeglasses")] < 0).mean())
    return {"faces": len(real), "gone": gone} | {f"{name}_kept": v for name, v in kept.items()}


def in_the_hole(
    fill: Fill, real: Pictures, hole: Holes, judge: FaceJudge, features: np.ndarray, seed: int
) -> dict[str, float]:
    """Likeness, sharpness and realism of one fill a face, no wish."""
    told = wishes(len(real))
    drawn = fill(real, hole, told, seed)
    return {
        "psnr": inpaint_metrics.psnr(drawn, real, hole),
        "ssim": inpaint_metrics.ssim(drawn, real, hole),
        "sharpness": inpaint_metrics.sharpness(drawn, real, hole),
        "frechet": metrics.frechet(judge.judge(drawn)[1], features),
    }


def averaged(fill: Fill, times: int = 8) -> Fill:
    """The mean of some fills."""

    def mean(real: Pictures, hole: Holes, told: np.ndarray, seed: int) -> Pictures:
        fills = [fill(real, hole, told, seed + i).astype(np.float32) for i in range(times)]
        return np.mean(fills, 0).round().astype(np.uint8)

    return mean


def evaluate_inpaint(cfg: Config) -> dict[str, Any]:
    """Every row of the table that needs no stop-watch."""
    model, judge = checkpoint.load(cfg.checkpoint_dir), checkpoint.load(cfg.judge_dir)
    folder, cache = cfg.data_dir / "celeba", cfg.cache_dir.expanduser()
    faces = celeba.load(folder, cfg.split, cache)
    size = model.config.image_size
    real = (to_rgb(faces.images, size) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    smiling = faces.column("Smiling")
    logits, features = judge.judge(real)
    column = judge.config.attributes.index

    fillers: dict[str, Fill] = {"ours": filler(model), "ours_mean_of_8": averaged(filler(model))}
    for name, path in (("stage_one", cfg.stage_one_dir), ("paper", cfg.paper_dir)):
        if path.exists():
            fillers[name] = filler(checkpoint.load(path))
    if "paper" in fillers:
        fillers["paper_mean_of_8"] = averaged(fillers["paper"])
    for name in ("telea", "navier_stokes", "mean_colour"):
        method = getattr(inpaint_metrics, name)
        fillers[name] = lambda real, hole, _told, _seed, method=method: method(real, hole)

    rng = np.random.default_rng(cfg.seed)
    sizes = {"small": holes.SMALL, "large": holes.LARGE}
    cuts = {
        name: np.stack([holes.fill(holes.rectangle(rng, area), size) for _ in real])
        for name, area in sizes.items()
    }
    clear = (logits[:, column("Eyeglasses")] > 0) & faces.column("Eyeglasses")
    result: dict[str, Any] = {
        "split": cfg.split,
        "remark": cfg.remark,
        "faces": len(real),
        "image_size": size,
        "judge": {
            name: float(((logits[:, column(name)] > 0) == faces.column(name)).mean())
            for name in ("Smiling", "Eyeglasses", "Male", "Young")
        }
        | {
            "smiles_seen_on_smiling": float((logits[smiling, column("Smiling")] > 0).mean()),
            "smiles_seen_on_serious": float((logits[~smiling, column("Smiling")] > 0).mean()),
        },
        "in_the_hole": {
            name: {
                part: in_the_hole(fill, real, hole, judge, features, cfg.seed)
                for part, hole in cuts.items()
            }
            for name, fill in fillers.items()
        },
        "smiles": {
            name: {
                "lower_face": smiles(judge, fillers[name], real, smiling, LOWER_FACE, cfg.seed),
                "mouth": smiles(judge, fillers[name], real, smiling, MOUTH, cfg.seed),
            }
            for name in ("ours", "paper")
            if name in fillers
        },
        "glasses_off": glasses_off(judge, fillers["ours"], real[clear], cfg.seed),
    }
    spread = {}
    for temperature in (0.0, 1.0):
        each = []
        for face, hole in zip(real[:100], cuts["large"][:100], strict=True):
            image, mask = to_rgb(face[None])[0], torch.from_numpy(hole).float()
            fills = model.inpaint(image, mask, count=8, temperature=temperature)
            each.append(inpaint_metrics.diversity(fills, hole))
        spread[f"temperature_{temperature:g}"] = float(np.mean(each))
    return result | {"diversity": spread}


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    table.record(cfg.checkpoint_dir, evaluate_inpaint(cfg), cfg.readme, "inpaint")


if __name__ == "__main__":
    common.run(main, Config)
