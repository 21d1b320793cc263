"""Membrane composition: harmonic, attached to the border, linear, blind to hidden pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.ndimage import gaussian_filter
from scipy.sparse import linalg

from models.inpaint.membrane import attach, harmonic

SIZE = 64


def rectangle(top: int, left: int, bottom: int, right: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, SIZE, SIZE)
    mask[:, :, top:bottom, left:right] = 1
    return mask


def masks() -> dict[str, torch.Tensor]:
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    with_a_dot = rectangle(10, 10, 54, 54)
    with_a_dot[:, :, 32, 30] = 0
    return {
        "rectangle": rectangle(40, 18, 60, 46),
        "at the edge": rectangle(44, 0, 64, 64),
        "in a corner": rectangle(0, 0, 35, 35),
        "nearly all": rectangle(1, 1, 63, 63),
        "one pixel": rectangle(20, 20, 21, 21),
        "with a known pixel": with_a_dot,
        "disc": ((rows - 30) ** 2 + (columns - 25) ** 2 < 400).float()[None, None],
        "diagonal": ((rows - columns).abs() < 3).float()[None, None],
    }


MASKS = masks()


def smooth_values(seed: int = 0) -> torch.Tensor:
    noise = np.random.default_rng(seed).normal(size=(2, SIZE, SIZE))
    smooth = np.stack([gaussian_filter(channel, 4) for channel in noise])
    return torch.from_numpy(smooth / np.abs(smooth).max()).float()[None]


def solve(values: torch.Tensor, mask: torch.Tensor) -> np.ndarray:
    """The exact harmonic function by a sparse direct solver."""
    hole, known = mask[0, 0].numpy() > 0, values[0].double().numpy()
    number = np.cumsum(hole).reshape(hole.shape) - 1
    matrix = sparse.lil_matrix((hole.sum(),) * 2)
    right = np.zeros((hole.sum(), len(known)))
    for y, x in np.argwhere(hole):
        k = number[y, x]
        for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            if 0 <= v < SIZE and 0 <= u < SIZE:
                matrix[k, k] += 1
                if hole[v, u]:
                    matrix[k, number[v, u]] = -1
                else:
                    right[k] += known[:, v, u]
    solution = np.zeros_like(known)
    solution[:, hole] = linalg.spsolve(matrix.tocsc(), right).reshape(-1, len(known)).T
    return solution


@pytest.mark.parametrize("name", MASKS)
def test_the_membrane_is_the_solution_of_laplaces_equation(name):
    values, mask = smooth_values(), MASKS[name]
    found = harmonic(values, mask)[0].numpy()
    np.testing.assert_allclose(found, solve(values, mask), atol=0.01)
    assert not found[:, mask[0, 0].numpy() == 0].any()


@pytest.mark.parametrize("name", MASKS)
def test_a_constant_mismatch_is_removed_everywhere(name):
    photo, mask = torch.full((1, 3, SIZE, SIZE), 0.5), MASKS[name]
    filled = attach(photo + 0.3, photo, mask)
    torch.testing.assert_close(filled, photo, atol=0.005, rtol=0)


def test_a_fill_that_fits_keeps_its_texture_and_a_gradient_is_continued():
    ramp = torch.linspace(0, 1, SIZE).expand(1, 3, SIZE, SIZE)
    mask = MASKS["rectangle"]
    filled = attach(torch.zeros_like(ramp), ramp, mask)
    torch.testing.assert_close(filled, ramp, atol=0.03, rtol=0)
    texture = 0.1 * torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    inner = torch.zeros_like(mask)
    inner[:, :, 46:54, 24:40] = 1
    found = attach(texture * inner, ramp, mask) - filled
    torch.testing.assert_close(found, texture * inner, atol=1e-5, rtol=0)


def test_a_step_at_the_border_is_closed():
    generator = torch.Generator().manual_seed(1)
    photo = torch.rand(1, 3, 1, SIZE, generator=generator).cumsum(3).expand(-1, -1, SIZE, -1) / SIZE
    fill, mask = photo + 0.4, MASKS["disc"]
    edge = (mask[..., 1:] != mask[..., :-1]).expand(-1, 3, -1, -1)

    def step(x: torch.Tensor) -> torch.Tensor:
        return (x[..., 1:] - x[..., :-1]).abs()[edge].mean()

    assert step(torch.where(mask > 0, fill, photo)) > 20 * step(photo)
    assert step(attach(fill, photo, mask)) < 2 * step(photo)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(sorted(MASKS)), st.integers(0, 99))
def test_hidden_pixels_do_not_matter_bit_for_bit(name, seed):
    generator = torch.Generator().manual_seed(seed)
    fill, photo, noise = torch.rand(3, 2, 3, SIZE, SIZE, generator=generator)
    mask = MASKS[name].expand(2, -1, -1, -1)
    hidden = torch.where(mask > 0, 1e3 * noise, photo)
    assert torch.equal(attach(fill, photo, mask), attach(fill, hidden, mask))
    outside = torch.where(mask > 0, fill, 1e3 * noise)  # and so little the fill's outside the hole
    assert torch.equal(attach(fill, photo, mask), attach(outside, photo, mask))


def test_outside_the_hole_the_photo_stays_bit_for_bit():
    fill, photo = torch.rand(2, 1, 3, SIZE, SIZE)
    for mask in MASKS.values():
        visible = (mask == 0).expand_as(photo)
        assert torch.equal(attach(fill, photo, mask)[visible], photo[visible])


def test_attach_is_linear():
    a, b, x, y = torch.rand(4, 1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    for mask in MASKS.values():
        both = attach(2 * a - b, 2 * x - y, mask)
        separate = 2 * attach(a, x, mask) - attach(b, y, mask)
        torch.testing.assert_close(both, separate, atol=1e-4, rtol=0)


def test_the_gradient_is_that_of_finite_differences():
    mask = MASKS["disc"][:, :, 16:48, 16:48].double()
    photo = torch.rand(1, 1, 32, 32, dtype=torch.float64)
    fill = torch.rand(1, 1, 32, 32, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(1, 1, 32, 32, dtype=torch.float64)
    (attach(fill, photo, mask) * weight).sum().backward()
    for y, x in ((5, 16), (16, 16), (16, 2), (0, 0)):
        moved = fill.detach().clone()
        moved[0, 0, y, x] += 1
        change = ((attach(moved, photo, mask) - attach(fill, photo, mask)) * weight).sum()
        torch.testing.assert_close(fill.grad[0, 0, y, x], change.detach())


def test_each_face_of_a_batch_is_composed_alone():
    fill, photo = torch.rand(2, 3, 3, SIZE, SIZE)
    three = torch.cat([MASKS[name] for name in ("rectangle", "disc", "at the edge")])
    together = attach(fill, photo, three)
    for i in range(3):
        alone = attach(fill[i : i + 1], photo[i : i + 1], three[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_without_a_border_nothing_is_shifted(value):
    fill, photo = torch.rand(2, 1, 3, SIZE, SIZE)
    found = attach(fill, photo, torch.full((1, 1, SIZE, SIZE), value))
    assert torch.equal(found, fill if value else photo)
