"""Laws of paths between latent vectors, and of moves along attribute directions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.faces.latents import AttributeDirections, lerp, slerp


def vectors(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(st.integers(0, 1000), st.floats(0, 1))
def test_slerp_keeps_length_and_angle(seed, t):
    a, b = (v / v.norm() for v in vectors(2, 8, seed=seed))
    way = slerp(a, b, t)
    angle = torch.dot(a, b).clamp(-1, 1).acos()
    assert way.norm() == pytest.approx(1, abs=1e-4)
    assert torch.dot(a, way).clamp(-1, 1).acos() == pytest.approx(float(t * angle), abs=2e-3)


@pytest.mark.parametrize("between", [lerp, slerp])
def test_a_path_begins_and_ends_at_its_ends(between):
    a, b = vectors(2, 3, 8, seed=0)
    assert torch.allclose(between(a, b, 0.0), a, atol=1e-5)
    assert torch.allclose(between(a, b, 1.0), b, atol=1e-5)
    assert torch.allclose(between(a, b, 0.3), between(b, a, 0.7), atol=1e-5)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_slerp_of_parallel_vectors_is_the_straight_line(factor):
    a = vectors(8, seed=0)
    assert torch.allclose(slerp(a, factor * a, 0.25), lerp(a, factor * a, 0.25), atol=1e-6)


ROOT = vectors(6, 6, seed=2)
COVARIANCE = ROOT @ ROOT.T + 0.1 * torch.eye(6)


@pytest.fixture
def directions() -> AttributeDirections:
    made = AttributeDirections(("a", "b", "c"), 6)
    made.weights.copy_(vectors(3, 6, seed=1))
    made.spreads.copy_(made.weights @ COVARIANCE)
    return made


def test_a_move_changes_the_scores_as_asked(directions):
    z = vectors(4, 6, seed=3)
    change = directions.scores(z + directions.move({"a": 2.0}, ("b",))) - directions.scores(z)
    assert torch.allclose(change[:, 0], torch.tensor(2.0), rtol=0.02)
    assert change[:, 1].abs().max() < 0.02


def test_a_move_is_the_most_likely_of_those_that_do_the_same(directions):
    move = directions.move({"a": 1.0, "b": -1.0})
    precision = COVARIANCE.inverse()
    basis = torch.linalg.svd(directions.weights[:2])[2][2:]  # moves that change neither score
    for other in basis:
        longer = move + 0.1 * other
        assert longer @ precision @ longer > move @ precision @ move - 1e-3


def test_each_face_may_be_moved_by_another_amount(directions):
    both = directions.move({"a": torch.tensor([1.0, -2.0])})
    assert torch.allclose(both[1], -2 * both[0], atol=1e-5)
