"""Baselines that fill a hole without a trained network."""

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

Pictures = UInt8[np.ndarray, "n h w 3"]
Holes = Bool[np.ndarray, "n h w"]


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
