"""Laws of the edits, on grids of any size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.codes import edits
from tests.helpers.drawings import no_deadline

K = 7


@st.composite
def grids(draw, count=1):
    """One or more grids of codes of one size, none smaller than a cell."""
    h, w = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    cells = st.lists(st.integers(0, K - 1), min_size=h * w, max_size=h * w)
    made = [torch.tensor(draw(cells)).view(h, w) for _ in range(count)]
    return made[0] if count == 1 else made


def upsample(grid, factor):
    """Nearest-neighbour upsampling: each cell as a square of factor x factor."""
    return grid.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


amounts = st.integers(-9, 9)


@no_deadline
@given(grids(), amounts, amounts, st.sampled_from(edits.EDGES))
def test_a_shift_moves_every_cell_by_hand(grid, x, y, edge):
    h, w = grid.shape
    found = edits.shift(grid, x, y, edge, fill=-1)
    for row in range(h):
        for column in range(w):
            r, c = row - y, column - x
            if edge == "wrap":
                expected = grid[r % h, c % w]
            elif edge == "border":
                expected = grid[min(max(r, 0), h - 1), min(max(c, 0), w - 1)]
            else:
                expected = grid[r, c] if 0 <= r < h and 0 <= c < w else -1
            assert found[row, column] == expected


@no_deadline
@given(grids(), amounts, amounts)
def test_a_shift_and_its_opposite_are_nothing(grid, x, y):
    assert torch.equal(edits.shift(edits.shift(grid, x, y), -x, -y), grid)


@no_deadline
@given(grids(), st.integers(-5, 5))
def test_quarter_turns_add_up(grid, quarters):
    turned = edits.rotate(grid, quarters)
    assert torch.equal(edits.rotate(turned, -quarters), grid)
    assert torch.equal(edits.rotate(turned, 4), turned)
    once = edits.rotate(grid)
    assert once[-1, 0] == grid[0, 0]  # anticlockwise: the left top corner goes down
    assert once.shape == grid.shape[::-1]


@no_deadline
@given(grids())
def test_flips_undo_themselves_and_two_make_a_half_turn(grid):
    both = edits.flip(edits.flip(grid, "x"), "y")
    assert torch.equal(edits.flip(edits.flip(grid, "x"), "x"), grid)
    assert torch.equal(both, edits.rotate(grid, 2))
    assert edits.flip(grid, "x")[0, 0] == grid[0, -1]
    assert edits.flip(grid, "y")[0, 0] == grid[-1, 0]


@no_deadline
@given(grids(2), st.sampled_from(edits.AXES), st.data())
def test_a_splice_is_one_up_to_the_cut_and_the_other_beyond(pair, axis, data):
    a, b = pair
    n = a.shape[1 if axis == "x" else 0]
    cut = data.draw(st.integers(0, n))
    found = edits.splice(a, b, cut, axis)
    if axis == "y":
        a, b, found = a.T, b.T, found.T
    assert torch.equal(found[:, :cut], a[:, :cut])
    assert torch.equal(found[:, cut:], b[:, cut:])


@no_deadline
@given(grids(2), st.data())
def test_a_transplant_changes_its_place_and_nothing_else(pair, data):
    a, b = pair
    h, w = a.shape
    left, top = data.draw(st.integers(0, w - 1)), data.draw(st.integers(0, h - 1))
    right, bottom = data.draw(st.integers(left + 1, w)), data.draw(st.integers(top + 1, h))
    x, y = data.draw(st.integers(1 - w, w - 1)), data.draw(st.integers(1 - h, h - 1))
    before = b.clone()
    found = edits.transplant(a, b, (left, top, right, bottom), x, y)
    assert torch.equal(b, before)
    for row in range(h):
        for column in range(w):
            r, c = row - y + top, column - x + left
            inside = top <= r < bottom and left <= c < right
            assert found[row, column] == (a[r, c] if inside else b[row, column])


@no_deadline
@given(grids(2))
def test_a_transplant_of_everything_is_the_source(pair):
    a, b = pair
    assert torch.equal(edits.transplant(a, b, (0, 0, a.shape[1], a.shape[0]), 0, 0), a)


@no_deadline
@given(grids(), st.data())
def test_paint_replace_and_permute(grid, data):
    h, w = grid.shape
    cell = data.draw(st.integers(0, w - 1)), data.draw(st.integers(0, h - 1))
    painted = edits.paint(grid, [cell], K)
    assert int((painted == K).sum()) == 1
    assert painted[cell[1], cell[0]] == K
    old, new = data.draw(st.integers(0, K - 1)), data.draw(st.integers(0, K - 1))
    replaced = edits.replace(grid, old, new)
    assert old == new or not (replaced == old).any()
    assert torch.equal(replaced[grid != old], grid[grid != old])
    table = torch.tensor(data.draw(st.permutations(range(K))))
    assert torch.equal(edits.permute(edits.permute(grid, table), table.argsort()), grid)


def test_opposites_are_the_nearest_to_the_negated_vectors():
    book = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    by_hand = [min(range(9), key=lambda j: float((book[j] + book[i]).norm())) for i in range(9)]
    assert edits.opposites(book).tolist() == by_hand
    mirrored = torch.cat([book, -book])
    assert edits.opposites(mirrored).tolist() == [*range(9, 18), *range(9)]


EDITS = {
    "shift": lambda g, k: edits.shift(g, 2 * k, -k),
    "border": lambda g, k: edits.shift(g, k, 3 * k, "border"),
    "rotate": lambda g, _: edits.rotate(g, 3),
    "flip": lambda g, _: edits.flip(g, "y"),
    "splice": lambda g, k: edits.splice(g, g.flip(-2), 2 * k, "y"),
    "transplant": lambda g, k: edits.transplant(g, g.flip(-1), (0, k, 2 * k, 3 * k), k, -k),
}


@pytest.mark.parametrize("name", EDITS)
def test_the_same_call_edits_pixels(name):
    grid = torch.randint(0, K, (4, 4), generator=torch.Generator().manual_seed(1))
    edit = EDITS[name]
    assert torch.equal(upsample(edit(grid, 1), 3), edit(upsample(grid, 3), 3))


@pytest.mark.parametrize("name", EDITS)
def test_grids_of_a_batch_are_edited_alike(name):
    batch = torch.randint(0, K, (3, 2, 4, 4), generator=torch.Generator().manual_seed(2))
    together = EDITS[name](batch, 1)
    for i, j in ((0, 0), (2, 1)):
        assert torch.equal(together[i, j], EDITS[name](batch[i, j], 1))


BAD = {
    "an edge": (lambda g: edits.shift(g, 1, edge="mirror"), "'wrap', 'border' or 'fill'"),
    "an axis": (lambda g: edits.flip(g, "z"), "'x' or 'y'"),
    "a cut": (lambda g: edits.splice(g, g, 5), "cut must be 0 to 4, not 5"),
    "other sizes": (lambda g: edits.splice(g, g[:2], 1), r"\(3, 4\) and \(2, 4\)"),
    "a rectangle": (lambda g: edits.transplant(g, g, (0, 0, 5, 1), 0, 0), "within 4x3 cells"),
    "an empty one": (lambda g: edits.transplant(g, g, (2, 0, 2, 1), 0, 0), "within 4x3 cells"),
    "a place": (lambda g: edits.transplant(g, g, (0, 0, 1, 1), 4, 0), "-3 to 3 and -2 to 2"),
    "a cell": (lambda g: edits.paint(g, [(0, 3)], 1), r"no cell \(0, 3\)"),
    "a code": (lambda g: edits.permute(g + 9, torch.arange(K)), "codes must be 0 to 6"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_done_is_said_in_a_sentence(name):
    call, text = BAD[name]
    with pytest.raises(ValueError, match=text):
        call(torch.zeros(3, 4, dtype=torch.long))
