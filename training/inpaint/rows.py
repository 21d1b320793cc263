"""The rows of the inpainting table: fills by a network, and what the classifier says of them."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from models.classifiers import AttributeClassifier
from models.face_alignment import REGIONS, Region
from models.images import to_rgb
from models.inpaint.attributes import KEPT, OFF, ON, UNKNOWN, seeded_noise
from models.inpaint.cvae import FaceCVAE
from models.inpaint.model import Inpainter
from training.inpaint import holes
from training.inpaint.metrics import Holes, Pictures
from training.inpaint.synthetic_glasses import spectacles
from training.metrics.frechet import frechet_distance
from training.metrics.image import psnr, relative_sharpness, ssim

LOWER_FACE, MOUTH = Region(38, 12, 64, 52), Region(50, 21, 64, 45)
Fill = Callable[[Pictures, Holes, np.ndarray, int], Pictures]


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
                asked = F.pad(asked, (0, len(model.config.attributes) - 2), value=UNKNOWN)
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
    """The same wishes for every face, about smile and glasses, (count, 2)."""
    return np.tile([smile, glasses], (count, 1))


def smiles(
    classifier: AttributeClassifier,
    fill: Fill,
    real: Pictures,
    smiling: np.ndarray,
    region: Region,
    seed: int,
) -> dict[str, float]:
    """How often the classifier sees a smile, by what was asked for and what the face did before."""
    size = real.shape[1]
    hole = np.tile(holes.fill(region, size), (len(real), 1, 1))
    column = classifier.config.attributes.index("Smiling")
    found = {}
    for name, wish in (("smile", ON), ("no_smile", OFF), ("open", UNKNOWN)):
        logits, _ = classifier.predict(fill(real, hole, wishes(len(real), wish), seed))
        seen = logits[:, column] > 0
        for before, rows in (("smiling", smiling), ("serious", ~smiling)):
            found[f"{name}_asked_{before}_before"] = float(seen[rows].mean())
    return found


def glasses_off(
    classifier: AttributeClassifier, fill: Fill, real: Pictures, seed: int
) -> dict[str, float | int]:
    """On faces with detected glasses: how often they go, and what else stays as it was."""
    if not len(real):
        return {"faces": 0}
    hole = np.tile(holes.fill(REGIONS["glasses"], real.shape[1]), (len(real), 1, 1))
    before, _ = classifier.predict(real)
    after, _ = classifier.predict(fill(real, hole, wishes(len(real), glasses=OFF), seed))
    gone = float((after[:, classifier.config.attributes.index("Eyeglasses")] < 0).mean())
    return {"faces": len(real), "gone": gone} | kept(classifier, before, after)


def kept(
    classifier: AttributeClassifier,
    before: Float[np.ndarray, "n k"],
    after: Float[np.ndarray, "n k"],
) -> dict[str, float]:
    """How often the classifier says the same of two sets of logits."""
    same, column = (before > 0) == (after > 0), classifier.config.attributes.index
    return {f"{name}_kept": float(same[:, column(name)].mean()) for name in KEPT}


def perfect_removal(
    classifier: AttributeClassifier, plain: Pictures, seed: int
) -> dict[str, float | int]:
    """What `glasses_off` would say of a fill that shows the very face behind the glasses.

    Measured the other way round: glasses are painted on faces that wear none, and those count on
    which the classifier then sees some.
    """
    rng, size = np.random.default_rng(seed), plain.shape[1]
    worn = plain.astype(np.float32) / 255
    for face in worn:
        glasses = spectacles(rng, size).transpose(1, 2, 0)
        face += (glasses[..., :3] - face) * glasses[..., 3:]
    before, _ = classifier.predict((worn * 255).round().astype(np.uint8))
    seen = before[:, classifier.config.attributes.index("Eyeglasses")] > 0
    if not seen.any():
        return {"faces": 0}
    after, _ = classifier.predict(plain)
    return {"faces": int(seen.sum())} | kept(classifier, before[seen], after[seen])


def in_the_hole(
    fill: Fill,
    real: Pictures,
    hole: Holes,
    classifier: AttributeClassifier,
    features: np.ndarray,
    seed: int,
) -> dict[str, float]:
    """Likeness, sharpness and realism of one fill a face, no wish."""
    told = wishes(len(real))
    drawn = fill(real, hole, told, seed)
    pictures = to_rgb(drawn), to_rgb(real), torch.from_numpy(hole)
    return {
        "psnr": psnr(*pictures),
        "ssim": ssim(*pictures),
        "sharpness": relative_sharpness(*pictures),
        "frechet": frechet_distance(classifier.predict(drawn)[1], features),
    }


def averaged(fill: Fill, times: int = 8) -> Fill:
    """The mean of some fills."""

    def mean(real: Pictures, hole: Holes, told: np.ndarray, seed: int) -> Pictures:
        fills = [fill(real, hole, told, seed + i).astype(np.float32) for i in range(times)]
        return np.mean(fills, 0).round().astype(np.uint8)

    return mean
