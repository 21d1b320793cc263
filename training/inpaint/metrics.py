"""What the inpainting table is made of: figures taken in the hole, and the sceptic's baselines."""

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

Pictures = UInt8[np.ndarray, "n h w 3"]
Holes = Bool[np.ndarray, "n h w"]


def psnr(drawn: Pictures, real: Pictures, holes: Holes) -> float:
    """10 log10(1 / mean squared error in the hole), dB, mean over the pictures."""
    squared = ((drawn.astype(np.float32) - real) / 255) ** 2
    error = (squared.mean(-1) * holes).sum((1, 2)) / holes.sum((1, 2))
    return float((-10 * np.log10(error.clip(1e-10))).mean())


def ssim(drawn: Pictures, real: Pictures, holes: Holes) -> float:
    """Structural similarity (Wang et al. 2004) of luminance, mean over the pixels of each hole.

    Gaussian window of 1.5 px, of the filled picture as it stands.
    """
    a, b = (
        p.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) for p in (drawn, real)
    )

    def blur(x: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
        return ndimage.gaussian_filter(x, (0, 1.5, 1.5), truncate=3.5)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    both = blur(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    value = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    value /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(((value * holes).sum((1, 2)) / holes.sum((1, 2))).mean())


def sharpness(drawn: Pictures, real: Pictures, holes: Holes) -> float:
    """Mean absolute Laplacian of luminance in the hole, of the fill over that of the real face."""

    def edges(pictures: Pictures) -> float:
        grey = pictures.astype(np.float32).mean(-1)
        curved = np.stack([ndimage.laplace(picture) for picture in grey])
        return float(np.abs(curved)[holes].mean())

    return edges(drawn) / edges(real)


def diversity(fills: Float[torch.Tensor, "n c h w"], hole: Bool[np.ndarray, "h w"]) -> float:
    """Mean pairwise RMSE of the fills in the hole, in [0, 1]."""
    inside = fills.permute(0, 2, 3, 1)[:, torch.from_numpy(hole)].flatten(1).float()
    n = len(inside)
    each = [
        (inside[i] - inside[j]).square().mean().sqrt() for i in range(n) for j in range(i + 1, n)
    ]
    return float(torch.stack(each).mean())


def telea(real: Pictures, holes: Holes) -> Pictures:
    """OpenCV's fast marching fill (Telea 2004)."""
    return _opencv(real, holes, cv2.INPAINT_TELEA)


def navier_stokes(real: Pictures, holes: Holes) -> Pictures:
    """OpenCV's fill along isophotes (Bertalmio et al. 2001)."""
    return _opencv(real, holes, cv2.INPAINT_NS)


def _opencv(real: Pictures, holes: Holes, method: int) -> Pictures:
    pairs = zip(real, holes, strict=True)
    return np.stack([cv2.inpaint(p, h.astype(np.uint8), 3, method) for p, h in pairs])


def mean_colour(real: Pictures, holes: Holes) -> Pictures:
    """The mean colour of what is around."""
    outside = (real * ~holes[..., None]).sum((1, 2)) / (~holes).sum((1, 2))[:, None]
    return np.where(holes[..., None], outside[:, None, None], real).round().astype(np.uint8)
