"""Edits of code grids: pure functions on (..., h, w), which apply to images as well.

A cell is one element of the grid; x runs to the right, y down. The same call edits an image when
every length is multiplied by the side of a cell in px.
"""

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

AXES, EDGES = ("x", "y"), ("wrap", "border", "fill")
Rectangle = tuple[int, int, int, int]  # left, top, right, bottom in cells, the last two excluded


def shift(
    grid: Shaped[Tensor, "*b h w"],
    x: int = 0,
    y: int = 0,
    edge: str = "wrap",
    fill: int | float = 0,
) -> Shaped[Tensor, "*b h w"]:
    """Shift by `x` cells to the right and `y` down.

    `edge` says what the vacated cells get: "wrap" what left on the other side, "border" the
    nearest cell of the border, "fill" the value `fill`.
    """
    if edge not in EDGES:
        raise ValueError(f"edge must be 'wrap', 'border' or 'fill', not {edge!r}")
    for amount, axis in ((x, -1), (y, -2)):
        n = grid.shape[axis]
        source = torch.arange(n, device=grid.device) - amount
        outside = (source < 0) | (source >= n)
        source = source % n if edge == "wrap" else source.clamp(0, n - 1)
        grid = grid.index_select(axis, source)
        if edge == "fill":
            grid = grid.masked_fill(outside if axis == -1 else outside[:, None], fill)
    return grid


def rotate(grid: Shaped[Tensor, "*b h w"], quarters: int = 1) -> Shaped[Tensor, "*b h2 w2"]:
    """Rotate anticlockwise by `quarters` times 90 degrees; negative `quarters` rotate clockwise."""
    return torch.rot90(grid, quarters, (-2, -1))


def flip(grid: Shaped[Tensor, "*b h w"], axis: str = "x") -> Shaped[Tensor, "*b h w"]:
    """Mirror: axis "x" swaps left and right, "y" top and bottom."""
    return grid.flip(_dim(axis))


def splice(
    first: Shaped[Tensor, "*b h w"],
    second: Shaped[Tensor, "..."],
    cut: int,
    axis: str = "x",
) -> Shaped[Tensor, "*b h w"]:
    """The first `cut` columns (axis "y": rows) of `first`, the others of `second`."""
    _check_same_shape(first, second)
    dim = _dim(axis)
    n = first.shape[dim]
    if not 0 <= cut <= n:
        raise ValueError(f"cut must be 0 to {n}, not {cut}")
    return torch.cat([first.narrow(dim, 0, cut), second.narrow(dim, cut, n - cut)], dim)


def transplant(
    source: Shaped[Tensor, "..."],
    target: Shaped[Tensor, "*b h w"],
    rectangle: Rectangle,
    x: int,
    y: int,
) -> Shaped[Tensor, "*b h w"]:
    """`target` with a rectangle of `source` pasted so that its top left corner is at cell (x, y).

    What reaches beyond the grid is cropped.
    """
    _check_same_shape(source, target)
    h, w = target.shape[-2:]
    left, top, right, bottom = rectangle
    if not (0 <= left < right <= w and 0 <= top < bottom <= h):
        raise ValueError(
            f"the rectangle {rectangle} must be left, top, right, bottom within {w}x{h} cells"
        )
    if not (-w < x < w and -h < y < h):
        raise ValueError(f"({x}, {y}) must be -{w - 1} to {w - 1} and -{h - 1} to {h - 1}")
    result = target.clone()
    to_left, to_top = max(x, 0), max(y, 0)
    width, height = min(x + right - left, w) - to_left, min(y + bottom - top, h) - to_top
    if width > 0 and height > 0:
        from_left, from_top = left + to_left - x, top + to_top - y
        patch = source[..., from_top : from_top + height, from_left : from_left + width]
        result[..., to_top : to_top + height, to_left : to_left + width] = patch
    return result


def paint(
    codes: Int64[Tensor, "*b h w"], cells: list[tuple[int, int]], code: int
) -> Int64[Tensor, "*b h w"]:
    """`codes` with `code` in each of the cells (x, y)."""
    h, w = codes.shape[-2:]
    result = codes.clone()
    for x, y in cells:
        if not (0 <= x < w and 0 <= y < h):
            raise ValueError(f"there is no cell ({x}, {y}) in a grid of {w}x{h}")
        result[..., y, x] = code
    return result


def replace(codes: Int64[Tensor, "*b h w"], old: int, new: int) -> Int64[Tensor, "*b h w"]:
    """`codes` with every `old` replaced by `new`."""
    return torch.where(codes == old, new, codes)


def permute(codes: Int64[Tensor, "*b h w"], table: Int64[Tensor, " k"]) -> Int64[Tensor, "*b h w"]:
    """`table[k]` in place of each code k."""
    if codes.min() < 0 or codes.max() >= len(table):
        raise ValueError(
            f"codes must be 0 to {len(table) - 1}, not {int(codes.min())} to {int(codes.max())}"
        )
    return table[codes]


def opposites(codebook: Float[Tensor, "k d"]) -> Int64[Tensor, " k"]:
    """Table for `permute`: for each code, the one whose vector is nearest to its negated vector."""
    return torch.cdist(-codebook, codebook).argmin(1)


def _dim(axis: str) -> int:
    if axis not in AXES:
        raise ValueError(f"axis must be 'x' or 'y', not {axis!r}")
    return -1 if axis == "x" else -2


def _check_same_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(
            "both grids must have the same shape, not "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
