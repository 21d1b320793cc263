"""Evaluate the face inpainter on held-out faces: `python training/evaluate.py inpaint`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from models import checkpoint
from models.classifiers import AttributeClassifier
from models.face_alignment import REGIONS, Region
from models.images import to_rgb
from models.inpaint.attributes import OFF, ON, PRESERVED, UNKNOWN, seeded_noise
from models.inpaint.cvae import FaceCVAE
from models.inpaint.model import Inpainter
from training.data import celeba
from training.inpaint.holes import LARGE, SMALL, random_rectangle, region_mask
from training.inpaint.synthetic_glasses import composite_glasses, synthetic_glasses
from training.metrics.frechet import frechet_distance
from training.metrics.image import border_step, pairwise_rmse, psnr, relative_sharpness, ssim
from training.release import results_table

LOWER_FACE, MOUTH = Region(38, 12, 64, 52), Region(50, 21, 64, 45)
BORDER_HOLES = {name: REGIONS[name] for name in ("mouth", "lower face", "eyes", "nose")}
BORDER_HOLES["centre"] = Region(16, 16, 48, 48)

Pictures = UInt8[np.ndarray, "n h w 3"]
Masks = Bool[np.ndarray, "n h w"]  # True in the hole
Attributes = Int64[np.ndarray, "n 2"]  # smile and glasses, each OFF, ON or UNKNOWN
# Fills the holes of faces; the last argument is a seed.
Method = Callable[[Pictures, Masks, Attributes, int], Pictures]


@dataclass(frozen=True)
class Config:
    """What is measured on what."""

    data_dir: Path = Path("data")
    """Folder that holds celeba/."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    checkpoint_dir: Path = Path("checkpoints/inpaint")
    baseline_dir: Path = Path("runs/inpaint-cvae/checkpoint")
    """The paper's CVAE, trained by `train_inpaint_cvae.py`."""
    classifier_dir: Path = Path("checkpoints/face-classifier")
    """A classifier that had no part in training."""
    remark: str = ""
    """A sentence under the table: how long each was trained, say."""
    split: Literal["valid", "test"] = "test"
    seed: int = 0


def evaluate_inpaint(cfg: Config) -> dict[str, Any]:
    """Every figure of metrics.json that needs no timing."""
    model, classifier = checkpoint.load(cfg.checkpoint_dir), checkpoint.load(cfg.classifier_dir)
    folder, cache = cfg.data_dir / "celeba", cfg.cache_dir.expanduser()
    faces = celeba.load(folder, cfg.split, cache)
    size = model.config.image_size
    real = (to_rgb(faces.images, size) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    smiling = faces.column("Smiling")
    logits, features = classifier.predict(real)
    column = classifier.config.attributes.index

    methods: dict[str, Method] = {"ours": one_sample(model), "ours_mean_of_8": mean_of(model)}
    if cfg.baseline_dir.exists():
        baseline = checkpoint.load(cfg.baseline_dir)
        methods |= {"paper": one_sample(baseline), "paper_mean_of_8": mean_of(baseline)}
    methods |= {fill.__name__: unconditional(fill) for fill in (telea, navier_stokes, mean_colour)}

    rng = np.random.default_rng(cfg.seed)
    masks = {
        name: np.stack([region_mask(random_rectangle(rng, area), size) for _ in real])
        for name, area in (("small", SMALL), ("large", LARGE))
    }
    visible_glasses = (logits[:, column("Eyeglasses")] > 0) & faces.column("Eyeglasses")
    result: dict[str, Any] = {
        "split": cfg.split,
        "remark": cfg.remark,
        "faces": len(real),
        "image_size": size,
        "classifier": {
            name: float(((logits[:, column(name)] > 0) == faces.column(name)).mean())
            for name in ("Smiling", "Eyeglasses", "Male", "Young")
        }
        | {
            "smile_rate_smiling": float((logits[smiling, column("Smiling")] > 0).mean()),
            "smile_rate_serious": float((logits[~smiling, column("Smiling")] > 0).mean()),
        },
        "hole": {
            name: {
                part: hole_metrics(method, real, mask, classifier, features, cfg.seed)
                for part, mask in masks.items()
            }
            for name, method in methods.items()
        },
        "border_step": {
            name: {
                part: border_step_ratio(methods[name], real, region, cfg.seed)
                for part, region in BORDER_HOLES.items()
            }
            for name in ("ours", "paper", "telea")
            if name in methods
        },
        "smile_rates": {
            name: {
                part: smile_rates(classifier, methods[name], real, smiling, region, cfg.seed)
                for part, region in (("lower_face", LOWER_FACE), ("mouth", MOUTH))
            }
            for name in ("ours", "paper")
            if name in methods
        },
        "glasses_removal": glasses_removal(
            classifier, methods["ours"], real[visible_glasses], cfg.seed
        ),
        "oracle_removal": oracle_removal(classifier, real[~faces.column("Eyeglasses")], cfg.seed),
    }
    diversity = {}
    for temperature in (0.0, 1.0):
        each = []
        for face, mask in zip(real[:100], masks["large"][:100], strict=True):
            image, hole = to_rgb(face[None])[0], torch.from_numpy(mask)
            fills = model.inpaint(image, hole.float(), count=8, temperature=temperature)
            each.append(pairwise_rmse(fills, hole))
        diversity[f"temperature_{temperature:g}"] = float(np.mean(each))
    return result | {"pairwise_rmse": diversity}


def one_sample(model: Inpainter | FaceCVAE) -> Method:
    """One fill of each face by a network, with its own noise."""

    @torch.inference_mode()
    def fill(real: Pictures, mask: Masks, attributes: Attributes, seed: int) -> Pictures:
        noise = seeded_noise(len(real), model.config.latent_dim, seed)
        parts = []
        for i in range(0, len(real), 64):
            rows = slice(i, i + 64)
            x, hole = to_rgb(real[rows]), torch.from_numpy(mask[rows])[:, None].float()
            asked = torch.from_numpy(attributes[rows])
            if isinstance(model, Inpainter):
                asked = F.pad(asked, (0, len(model.config.attributes) - 2), value=UNKNOWN)
                face = model.sample(x, hole, asked, noise[rows])
            else:
                fills = baseline_fill(model, x, hole, asked, noise[rows])
                face = torch.where(hole > 0, fills, x)
            parts.append((face * 255).round().byte().permute(0, 2, 3, 1).numpy())
        return np.concatenate(parts)

    return fill


def mean_of(model: Inpainter | FaceCVAE, count: int = 8) -> Method:
    """The mean of `count` fills by a network."""
    sample = one_sample(model)

    def fill(real: Pictures, mask: Masks, attributes: Attributes, seed: int) -> Pictures:
        fills = [sample(real, mask, attributes, seed + i).astype(np.float32) for i in range(count)]
        return np.mean(fills, 0).round().astype(np.uint8)

    return fill


def baseline_fill(
    model: FaceCVAE,
    x: Float[Tensor, "n 3 h w"],
    mask: Float[Tensor, "n 1 h w"],
    attributes: Int64[Tensor, "n 2"],
    noise: Float[Tensor, "n z"],
) -> Float[Tensor, "n 3 h w"]:
    """Whole faces by the paper's CVAE at its own size, upsampled to that of `x`."""
    small = F.adaptive_avg_pool2d(x * (1 - mask), model.config.image_size)
    face = model.decode(model.encode(small).sample(noise), attributes).sigmoid()
    return F.interpolate(face, x.shape[-2:], mode="bicubic", align_corners=False).clamp(0, 1)


def unconditional(fill: Callable[[Pictures, Masks], Pictures]) -> Method:
    """A method that ignores attributes and seed."""
    return lambda real, mask, _attributes, _seed: fill(real, mask)


def telea(real: Pictures, mask: Masks) -> Pictures:
    """OpenCV's fast marching fill (Telea 2004)."""
    return _opencv(real, mask, cv2.INPAINT_TELEA)


def navier_stokes(real: Pictures, mask: Masks) -> Pictures:
    """OpenCV's fill along isophotes (Bertalmio et al. 2001)."""
    return _opencv(real, mask, cv2.INPAINT_NS)


def _opencv(real: Pictures, masks: Masks, method: int) -> Pictures:
    pairs = zip(real, masks, strict=True)
    return np.stack([cv2.inpaint(face, mask.astype(np.uint8), 3, method) for face, mask in pairs])


def mean_colour(real: Pictures, mask: Masks) -> Pictures:
    """The mean colour of the visible pixels."""
    visible = (real * ~mask[..., None]).sum((1, 2)) / (~mask).sum((1, 2))[:, None]
    return np.where(mask[..., None], visible[:, None, None], real).round().astype(np.uint8)


def same_attributes(count: int, smile: int = UNKNOWN, glasses: int = UNKNOWN) -> Attributes:
    """The same attributes for `count` faces."""
    return np.tile([smile, glasses], (count, 1))


def hole_metrics(
    method: Method,
    real: Pictures,
    mask: Masks,
    classifier: AttributeClassifier,
    features: Float[np.ndarray, "n d"],
    seed: int,
) -> dict[str, float]:
    """Fidelity, sharpness and realism of one fill a face with unknown attributes.

    `features` are the classifier's for the real faces.
    """
    filled = method(real, mask, same_attributes(len(real)), seed)
    pictures = to_rgb(filled), to_rgb(real), torch.from_numpy(mask)
    return {
        "psnr": psnr(*pictures),
        "ssim": ssim(*pictures),
        "sharpness": relative_sharpness(*pictures),
        "frechet": frechet_distance(classifier.predict(filled)[1], features),
    }


def border_step_ratio(method: Method, real: Pictures, region: Region, seed: int) -> float:
    """The step across the hole's border, that of the filled faces over that of the real ones."""
    mask = np.tile(region_mask(region, real.shape[1]), (len(real), 1, 1))
    filled = method(real, mask, same_attributes(len(real)), seed)
    hole = torch.from_numpy(mask)
    return border_step(to_rgb(filled), hole) / border_step(to_rgb(real), hole)


def smile_rates(
    classifier: AttributeClassifier,
    method: Method,
    real: Pictures,
    smiling: Bool[np.ndarray, " n"],
    region: Region,
    seed: int,
) -> dict[str, float]:
    """Fraction of fills classified as smiling, by the attribute asked for and the real face's."""
    mask = np.tile(region_mask(region, real.shape[1]), (len(real), 1, 1))
    column = classifier.config.attributes.index("Smiling")
    rates = {}
    for name, smile in (("on", ON), ("off", OFF), ("unknown", UNKNOWN)):
        filled = method(real, mask, same_attributes(len(real), smile), seed)
        positive = classifier.predict(filled)[0][:, column] > 0
        for before, rows in (("smiling", smiling), ("serious", ~smiling)):
            rates[f"{name}_{before}"] = float(positive[rows].mean())
    return rates


def glasses_removal(
    classifier: AttributeClassifier, method: Method, real: Pictures, seed: int
) -> dict[str, float | int]:
    """Of faces classified as wearing glasses: fraction of removals, and what is preserved."""
    if not len(real):
        return {"faces": 0}
    mask = np.tile(region_mask(REGIONS["glasses"], real.shape[1]), (len(real), 1, 1))
    before, _ = classifier.predict(real)
    filled = method(real, mask, same_attributes(len(real), glasses=OFF), seed)
    after, _ = classifier.predict(filled)
    removed = after[:, classifier.config.attributes.index("Eyeglasses")] < 0
    rates = {"faces": len(real), "removed": float(removed.mean())}
    return rates | agreement(classifier, before, after)


def agreement(
    classifier: AttributeClassifier,
    before: Float[np.ndarray, "n k"],
    after: Float[np.ndarray, "n k"],
) -> dict[str, float]:
    """How often two sets of the classifier's logits agree on each of the `PRESERVED` attributes."""
    same, column = (before > 0) == (after > 0), classifier.config.attributes.index
    return {f"{name}_agreement": float(same[:, column(name)].mean()) for name in PRESERVED}


def oracle_removal(
    classifier: AttributeClassifier, real: Pictures, seed: int
) -> dict[str, float | int]:
    """`glasses_removal` of an oracle that shows the very face behind the glasses.

    Measured in reverse: glasses are painted on faces without any, of which those count that are
    then classified as wearing some.
    """
    rng, size = np.random.default_rng(seed), real.shape[1]
    painted = [
        composite_glasses(face.astype(np.float32) / 255, synthetic_glasses(rng, size))
        for face in real
    ]
    before, _ = classifier.predict((np.stack(painted) * 255).round().astype(np.uint8))
    wearing = before[:, classifier.config.attributes.index("Eyeglasses")] > 0
    if not wearing.any():
        return {"faces": 0}
    after, _ = classifier.predict(real)
    return {"faces": int(wearing.sum())} | agreement(classifier, before[wearing], after[wearing])


def main(cfg: Config) -> None:
    """Evaluate, merge into metrics.json, print."""
    results_table.record(cfg.checkpoint_dir, evaluate_inpaint(cfg))
