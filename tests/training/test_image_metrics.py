"""Image quality and diversity metrics, against brute force and known cases."""

import numpy as np
import pytest
import torch
from PIL import Image

from models.images import to_rgb
from training.metrics.image import LUMA, border_step, pairwise_rmse, psnr, relative_sharpness, ssim


def random_pictures(count: int = 3, size: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pictures, and a mask with one rectangle in each."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(count, size, size, dtype=torch.bool)
    for i in range(count):
        mask[i, 8 + i : 20, 9 : 22 + i] = True
    return torch.rand(count, 3, size, size, generator=generator), mask


def distorted(x: torch.Tensor, by: float = 0.08) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return (x + by * (2 * torch.rand(x.shape, generator=generator) - 1)).clamp(0, 1)


def test_psnr_equals_brute_force_and_depends_on_the_mask_only():
    reference, mask = random_pictures()
    x = distorted(reference)
    by_hand = []
    for a, b, where in zip(x.numpy(), reference.numpy(), mask.numpy(), strict=True):
        by_hand.append(-10 * np.log10(((a - b)[:, where] ** 2).mean()))
    assert psnr(x, reference, mask) == pytest.approx(np.mean(by_hand), abs=1e-3)
    outside = torch.where(mask[:, None], x, 1 - x)
    assert psnr(outside, reference, mask) == pytest.approx(np.mean(by_hand), abs=1e-3)
    everywhere = torch.ones_like(mask)
    assert psnr(x, reference) == pytest.approx(psnr(x, reference, everywhere), abs=1e-4)
    assert psnr(x, x) == 100


def test_the_step_across_a_border_is_the_mean_over_its_pairs_of_neighbours():
    x, mask = random_pictures(2, 24)
    steps = []
    for picture, hole in zip(x.numpy(), mask.numpy(), strict=True):
        for i, j in np.argwhere(hole):
            for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if not hole[k, m]:
                    steps.append(np.abs(picture[:, i, j] - picture[:, k, m]).mean())
    assert border_step(x, mask) == pytest.approx(np.mean(steps), rel=1e-5)


def test_ssim_of_flat_pictures_and_of_one_pixel_equals_the_formula():
    reference, mask = random_pictures()
    assert ssim(reference, reference, mask) == pytest.approx(1, abs=1e-4)
    flat = [torch.full_like(reference, value) for value in (0.4, 0.6)]
    c1 = 0.01**2
    expected = (2 * 0.4 * 0.6 + c1) / (0.4**2 + 0.6**2 + c1)
    assert ssim(*flat, mask) == pytest.approx(expected, abs=1e-3)
    assert ssim(*flat) == pytest.approx(expected, abs=1e-3)
    x, one = distorted(reference, 0.24), torch.zeros_like(mask)
    one[:, 16, 16] = True
    offset = np.arange(-5, 6)
    window = np.exp(-(offset[:, None] ** 2 + offset**2) / 2 / 1.5**2)
    window /= window.sum()
    by_hand = []
    for pair in zip(x.double(), reference.double(), strict=True):
        a, b = (np.tensordot(LUMA, p[:, 11:22, 11:22].numpy(), 1) for p in pair)
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * a**2).sum() - mean_a**2, (window * b**2).sum() - mean_b**2
        both = (window * a * b).sum() - mean_a * mean_b
        c2 = 0.03**2
        by_hand.append(
            (2 * mean_a * mean_b + c1) * (2 * both + c2)
            / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
        )  # fmt: skip
    assert ssim(x, reference, one) == pytest.approx(np.mean(by_hand), abs=2e-3)


def test_a_picture_of_one_channel_is_its_own_luminance():
    reference, mask = random_pictures()
    grey = reference[:, :1]
    colour = grey.expand(-1, 3, -1, -1)
    assert ssim(distorted(grey), grey, mask) == pytest.approx(
        ssim(distorted(grey).expand(-1, 3, -1, -1), colour, mask), abs=1e-4
    )


def test_sharpness_falls_with_blur():
    reference, mask = random_pictures()
    assert relative_sharpness(reference, reference, mask) == pytest.approx(1)
    pixels = (reference * 255).byte().permute(0, 2, 3, 1).numpy()
    blurred = np.stack([np.array(Image.fromarray(p).reduce(4).resize((32, 32))) for p in pixels])
    assert relative_sharpness(to_rgb(blurred), reference, mask) < 0.3
    assert relative_sharpness(to_rgb(blurred), reference) < 0.3


def test_pairwise_rmse_is_the_mean_over_pairs_in_the_mask():
    x, mask = random_pictures(4, 16)[0], torch.zeros(16, 16, dtype=torch.bool)
    mask[3:9, 4:12] = True
    inside = x[:, :, mask].numpy()
    pairs = [np.sqrt(((inside[i] - inside[j]) ** 2).mean()) for i in range(4) for j in range(i)]
    assert pairwise_rmse(x, mask) == pytest.approx(np.mean(pairs), abs=1e-5)
    assert pairwise_rmse(x) == pytest.approx(pairwise_rmse(x, mask | True), abs=1e-6)
