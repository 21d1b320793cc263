"""Image quality and diversity metrics, on a whole picture or inside a mask."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue (ITU-R BT.601)


def psnr(
    x: Float[Tensor, "n c h w"],
    reference: Float[Tensor, "n c h w"],
    mask: Bool[Tensor, "n h w"] | None = None,
) -> float:
    """Peak signal-to-noise ratio: 10 log10(1 / mean squared error), dB, mean over the pictures.

    Pictures in [0, 1]; with a mask the error is averaged over its pixels only. An error below
    1e-10 counts as 1e-10: identical pictures have 100 dB.
    """
    error = _masked_mean((x - reference).square().mean(1), mask).clamp(min=1e-10)
    return float((-10 * error.log10()).mean())


def ssim(
    x: Float[Tensor, "n c h w"],
    reference: Float[Tensor, "n c h w"],
    mask: Bool[Tensor, "n h w"] | None = None,
) -> float:
    """Structural similarity (Wang et al. 2004) of luminance, mean over each picture's pixels.

    Pictures in [0, 1]; Gaussian window with a standard deviation of 1.5 px and a radius of 5 px.
    Windows reach beyond the mask, so what surrounds it counts as well.
    """
    a, b = _luma(x), _luma(reference)

    def blur(grey: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h w"]:
        return ndimage.gaussian_filter(grey, (0, 1.5, 1.5), truncate=3.5)

    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    value /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(_masked_mean(torch.from_numpy(value), mask).mean())


def relative_sharpness(
    x: Float[Tensor, "n c h w"],
    reference: Float[Tensor, "n c h w"],
    mask: Bool[Tensor, "n h w"] | None = None,
) -> float:
    """Mean absolute Laplacian of the channels' mean, that of `x` over that of the reference.

    1 is as sharp as the reference, less is blurred. With a mask, of its pixels only.
    """

    def edges(pictures: Float[Tensor, "n c h w"]) -> float:
        grey = pictures.mean(1).numpy()
        laplacian = np.abs(np.stack([ndimage.laplace(picture) for picture in grey]))
        return float((laplacian if mask is None else laplacian[mask.numpy()]).mean())

    return edges(x) / edges(reference)


def border_step(x: Float[Tensor, "n c h w"], mask: Bool[Tensor, "n h w"]) -> float:
    """Mean absolute difference of two neighbours of which one is in the mask and one is not.

    A fill whose border cannot be seen has the step of a real picture there.
    """
    total, pairs = 0.0, 0
    for axis in (1, 2):
        crosses = mask.diff(dim=axis)
        total += float((x.diff(dim=axis + 1).abs().mean(1) * crosses).sum())
        pairs += int(crosses.sum())
    return total / pairs


def pairwise_rmse(x: Float[Tensor, "n c h w"], mask: Bool[Tensor, "h w"] | None = None) -> float:
    """Diversity: the root mean squared difference of two pictures, mean over all pairs.

    With a mask, of its pixels only.
    """
    pixels = x.flatten(1) if mask is None else x[:, :, mask].flatten(1)
    first, second = torch.triu_indices(len(x), len(x), 1)
    return float((pixels[first] - pixels[second]).square().mean(1).sqrt().mean())


def _masked_mean(
    x: Float[Tensor, "n h w"], mask: Bool[Tensor, "n h w"] | None
) -> Float[Tensor, " n"]:
    """Mean of each picture's pixels, those of its mask where one is given."""
    return x.mean((1, 2)) if mask is None else (x * mask).sum((1, 2)) / mask.sum((1, 2))


def _luma(x: Float[Tensor, "n c h w"]) -> Float[np.ndarray, "n h w"]:
    """Luminance; a picture of one channel is its own."""
    weights = torch.tensor(LUMA if x.shape[1] == 3 else (1.0,))
    return torch.einsum("nchw,c->nhw", x, weights).numpy()
