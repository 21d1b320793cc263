"""The transformer that draws the missing strokes of a sketch, point by point."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import PointBlock, ResBlock, TransformerBlock, init_transformer
from models.sketch.tokens import BINS, MOVE, Points, SketchConfig


class Context(NamedTuple):
    """What the points should know of the partial drawing, and the labels that it suggests."""

    tokens: Float[Tensor, "b m d"]
    cells: Float[Tensor, "b c f"]
    keys: Float[Tensor, "b c f"]
    label: Float[Tensor, "b k"]


class PointLogits(NamedTuple):
    """Logits of the label, of each point's kind, of its cell given the kind, of its place in it."""

    label: Float[Tensor, "b k"]
    kind: Float[Tensor, "b n 3"]
    cell: Float[Tensor, "b n c"]
    inner: Float[Tensor, "b n i"]

    def divided(self, temperature: Float[Tensor, " b"]) -> "PointLogits":
        """The points' logits of each sequence divided by its temperature."""
        by = temperature[:, None, None]
        return PointLogits(self.label, self.kind / by, self.cell / by, self.inner / by)


class StrokePrior(nn.Module):
    """p(label | partial drawing) p(missing strokes | partial drawing, label), point after point.

    Where a point goes is first a cell of the feature map, chosen by what is drawn there (a query
    meets the cells' keys) and by the step from the point before, then a place within the cell.
    """

    def __init__(self, config: SketchConfig):
        super().__init__()
        width, fine, coarse = config.width, config.fine_channels, config.coarse_channels
        self.config = config
        self.grid = config.image_size // 4  # cells a side
        self.size = BINS // self.grid  # places a side of a cell
        self.fine = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(16, fine, 3, padding=1),
            ResBlock(fine),
            ResBlock(fine),
        )
        self.coarse = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            ResBlock(coarse),
            nn.Conv2d(coarse, width, 1),
        )
        self.place = nn.Parameter(0.02 * torch.randn((self.grid // 2) ** 2, width))
        self.context_layers = nn.ModuleList(
            TransformerBlock(width, config.heads) for _ in range(config.context_layers)
        )
        self.context_norm = nn.LayerNorm(width)
        self.guess = nn.Linear(width, len(config.labels))
        self.wide = nn.Linear(width, fine)
        self.cell_place = nn.Parameter(0.02 * torch.randn(self.grid**2, fine))
        self.key = nn.Linear(fine, fine)

        self.label = nn.Embedding(len(config.labels), width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.at = nn.Parameter(0.02 * torch.randn(config.max_points, width))
        self.around = nn.Linear(fine, width)
        self.kind = nn.Embedding(3, width)
        self.inner = nn.Embedding(self.size**2, width)
        self.step = nn.Embedding((2 * self.grid) ** 2, width)
        self.layers = nn.ModuleList(PointBlock(width, config.heads) for _ in range(config.layers))
        # kind, query to the cells, step, place in the cell
        self.parts = 3, fine, (2 * self.grid) ** 2, self.size**2
        self.norm, self.choices = nn.LayerNorm(width), nn.Linear(width, sum(self.parts))
        self.given_kind = nn.Embedding(2, width)
        self.inner_there = nn.Linear(fine, self.size**2)
        for part in self.children():
            if part is not self.fine and part is not self.coarse:
                init_transformer(part, config.context_layers + config.layers)
        cell = torch.arange(self.grid**2)
        rows, columns = (
            part[None] - part[:, None] + self.grid for part in (cell // self.grid, cell % self.grid)
        )
        self.register_buffer("step_to", rows * 2 * self.grid + columns, persistent=False)

    @property
    def middle(self) -> int:
        """The cell from which the first step is counted."""
        return self.grid**2 // 2 + self.grid // 2

    def given_choices(
        self,
    ) -> tuple[Float[Tensor, "2 f"], Float[Tensor, "2 s"], Float[Tensor, "2 i"]]:
        """What the choice to draw, or to move, adds to the logits, as if it were in h."""
        kinds = self.given_kind.weight
        choices = self.choices(torch.cat([kinds, torch.zeros_like(kinds[:1])]))
        return (choices[:2] - choices[2:]).split(self.parts, -1)[1:]

    def context(self, partial: Float[Tensor, "b 1 h w"]) -> Context:
        """Read the partial drawing."""
        fine = self.fine(partial)
        h = self.coarse(fine).flatten(2).transpose(1, 2) + self.place
        for layer in self.context_layers:
            h = layer(h)
        h = self.context_norm(h)
        half = self.grid // 2
        wide = self.wide(h).unflatten(1, (half, 1, half, 1)).expand(-1, half, 2, half, 2, -1)
        cells = fine.flatten(2).transpose(1, 2) + wide.flatten(1, 4)
        cells = cells + self.cell_place.to(cells)
        return Context(h, cells, self.key(cells), self.guess(h.mean(1)))

    def forward(
        self, points: Points, partial: Float[Tensor, "d 1 h w"], label: Int64[Tensor, " b"]
    ) -> PointLogits:
        """Logits of the label, and of every point given the label and the points before it.

        The sequences may be some times as many as the drawings: those of one lie side by side.
        """
        context = repeated(self.context(partial), len(label) // len(partial))
        return self.given(context, points, label)

    def given(self, context: Context, points: Points, label: Int64[Tensor, " b"]) -> PointLogits:
        """`forward` from a context that was read before, one for each sequence."""
        cell = points.y // self.size * self.grid + points.x // self.size
        place = points.y % self.size * self.size + points.x % self.size
        before = torch.cat([torch.full_like(cell[:, :1], self.middle), cell[:, :-1]], 1)
        there, steps = take(context.cells, cell), self.step_to[before, cell]
        past = self.kind(points.kind) + self.inner(place) + self.step(steps) + self.around(there)
        h = torch.cat([self.start.to(past).expand(len(past), 1, -1), past[:, :-1]], 1)
        h = h + self.at[: h.shape[1]] + self.label(label)[:, None]
        for layer in self.layers:
            h = layer(h, layer.remember(context.tokens))
        h = self.norm(h)
        kind, query, steps, inner = self.choices(h).split(self.parts, -1)
        first = torch.tensor([-torch.inf, 0, 0]).to(kind)  # a pen must be set down to draw
        kind = torch.cat([kind[:, :1] + first, kind[:, 1:]], 1)
        going = points.kind.clamp(max=MOVE)
        query, steps, inner = (
            part + F.embedding(going, given)
            for part, given in zip((query, steps, inner), self.given_choices(), strict=True)
        )
        logits = query @ context.keys.transpose(1, 2) * context.keys.shape[-1] ** -0.5
        logits = logits + steps.gather(-1, self.step_to[before])
        inner = inner + self.inner_there(there)
        return PointLogits(context.label.float(), kind.float(), logits.float(), inner.float())


def repeated(context: Context, times: int) -> Context:
    """Every drawing `times` times."""
    return context if times == 1 else Context(*(p.repeat_interleave(times, 0) for p in context))


def take(cells: Float[Tensor, "b c d"], at: Int64[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
    """The cells numbered `at`."""
    return cells.gather(1, at[..., None].expand(-1, -1, cells.shape[-1]))
