"""The transformer that draws the missing strokes of a sketch, point by point."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import CrossBlock, ResBlock, ResMLP, TransformerBlock, init_transformer
from models.sketch_points import BINS, DRAW, END, MOVE, Points, SketchConfig


class Context(NamedTuple):
    """What the points should know of the partial drawing and the label."""

    tokens: Float[Tensor, "b m d"]
    cells: Float[Tensor, "b c d"]
    keys: Float[Tensor, "b c d"]


class PointLogits(NamedTuple):
    """Logits of each point's kind, of its cell given the kind, of its place in it given both."""

    kind: Float[Tensor, "b n 3"]
    cell: Float[Tensor, "b n c"]
    inner: Float[Tensor, "b n i"]


class StrokePrior(nn.Module):
    """p(missing strokes | partial drawing, label), one point after the other.

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
        self.label = nn.Embedding(len(config.labels) + 1, width)
        self.place = nn.Parameter(0.02 * torch.randn((self.grid // 2) ** 2, width))
        self.context_layers = nn.ModuleList(
            TransformerBlock(width, config.heads, causal=False)
            for _ in range(config.context_layers)
        )
        self.local = nn.Linear(fine, width)
        self.cell_place = nn.Parameter(0.02 * torch.randn(self.grid**2, width))
        self.key = nn.Linear(width, width)

        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.at = nn.Parameter(0.02 * torch.randn(config.max_points, width))
        self.kind, self.x = nn.Embedding(3, width), nn.Embedding(BINS, width)
        self.y = nn.Embedding(BINS, width)
        self.layers = nn.ModuleList(CrossBlock(width, config.heads) for _ in range(config.layers))
        self.norm, self.kind_head = nn.LayerNorm(width), nn.Linear(width, 3)
        self.given_kind = nn.Embedding(2, width)
        self.query = nn.Linear(width, width)
        self.steps = nn.Linear(width, (2 * self.grid) ** 2)
        self.inner_mlp, self.inner_head = ResMLP(width), nn.Linear(width, self.size**2)
        for part in self.children():
            if part is not self.fine and part is not self.coarse:
                init_transformer(part, config.context_layers + config.layers)
        cell = torch.arange(self.grid**2)
        rows, columns = (
            part[None] - part[:, None] + self.grid for part in (cell // self.grid, cell % self.grid)
        )
        self.register_buffer("step", rows * 2 * self.grid + columns, persistent=False)

    def context(self, partial: Float[Tensor, "b 1 h w"], label: Int64[Tensor, " b"]) -> Context:
        """Read the partial drawing; a label of len(labels) means any."""
        fine = self.fine(partial)
        h = self.coarse(fine).flatten(2).transpose(1, 2) + self.place
        h = h + self.label(label)[:, None]
        for layer in self.context_layers:
            h = layer(h)
        half = self.grid // 2
        wide = h.unflatten(1, (half, 1, half, 1)).expand(-1, half, 2, half, 2, -1).flatten(1, 4)
        cells = self.local(fine.flatten(2).transpose(1, 2)) + wide + self.cell_place
        return Context(h, cells, self.key(cells))

    def cell_of(self, x: Int64[Tensor, "*b"], y: Int64[Tensor, "*b"]) -> Int64[Tensor, "*b"]:
        """The cell that a place lies in."""
        return y // self.size * self.grid + x // self.size

    def embed(self, points: Points, cells: Float[Tensor, "b c d"]) -> Float[Tensor, "b n d"]:
        """Points as the layers see them: where they are, and what is drawn around there."""
        around = take(cells, self.cell_of(points.x, points.y))
        return self.kind(points.kind) + self.x(points.x) + self.y(points.y) + around

    def where(
        self,
        h: Float[Tensor, "b n d"],
        before: Int64[Tensor, "b n"],
        keys: Float[Tensor, "b c d"],
    ) -> Float[Tensor, "b n c"]:
        """Logits of the next cell: content of the cells, and the step from cell `before`."""
        content = self.query(h) @ keys.transpose(1, 2) * h.shape[-1] ** -0.5
        return content + self.steps(h).gather(-1, self.step[before])

    def forward(
        self, points: Points, partial: Float[Tensor, "b 1 h w"], label: Int64[Tensor, " b"]
    ) -> PointLogits:
        """Logits of every point given those before it."""
        context = self.context(partial, label)
        past = self.embed(Points(*(part[:, :-1] for part in points)), context.cells)
        h = torch.cat([self.start.to(past).expand(len(past), 1, -1), past], 1)
        h = h + self.at[: h.shape[1]]
        for layer in self.layers:
            h = layer(h, layer.remember(context.tokens))
        h = self.norm(h)
        kind = self.kind_head(h)
        h = h + self.given_kind(points.kind.clamp(max=MOVE))
        cell = self.cell_of(points.x, points.y)
        logits = self.where(h, F.pad(cell[:, :-1], (1, 0), value=self.middle), context.keys)
        inner = self.inner_head(self.inner_mlp(h + take(context.cells, cell)))
        return PointLogits(kind.float(), logits.float(), inner.float())

    @property
    def middle(self) -> int:
        """The cell from which the first step is counted."""
        return self.grid**2 // 2 + self.grid // 2

    def sample(
        self, context: Context, noise: Float[Tensor, "b n 3"], temperature: float
    ) -> Int64[Tensor, "b n 3"]:
        """Draw points by inverting cumulative distributions at `noise`, uniform in [0, 1).

        `temperature` divides the logits; at 0 the likeliest choice is taken each time. A context
        of one drawing serves all rows.
        """
        b, limit, _ = noise.shape
        cells, keys = (part.expand(b, -1, -1) for part in context[1:])
        caches = [layer.new_cache(b, limit) for layer in self.layers]
        memories = [layer.remember(context.tokens) for layer in self.layers]
        drawn = torch.full((b, limit, 3), END, device=noise.device)
        ended = torch.zeros(b, dtype=torch.bool, device=noise.device)
        h, cell = self.start.expand(b, -1), torch.full((b,), self.middle, device=noise.device)
        for i in range(limit):
            h = h + self.at[i]
            for layer, cache, memory in zip(self.layers, caches, memories, strict=True):
                h = layer.step(h, cache, memory, i)
            h = self.norm(h)
            kind = pick(self.kind_head(h), noise[:, i, 0], temperature)
            if i == 0:
                kind = kind.masked_fill(kind == DRAW, MOVE)
            ended = ended | (kind == END)
            if ended.all():
                break
            h = h + self.given_kind(kind.clamp(max=MOVE))
            logits = self.where(h[:, None], cell[:, None], keys)[:, 0]
            cell = pick(logits, noise[:, i, 1], temperature)
            inner = self.inner_head(self.inner_mlp(h + take(cells, cell[:, None])[:, 0]))
            inner = pick(inner, noise[:, i, 2], temperature)
            x = cell % self.grid * self.size + inner % self.size
            y = cell // self.grid * self.size + inner // self.size
            drawn[:, i] = torch.stack([kind.masked_fill(ended, END), x, y], -1)
            h = self.embed(Points(kind[:, None], x[:, None], y[:, None]), cells)[:, 0]
        return drawn


def take(cells: Float[Tensor, "b c d"], at: Int64[Tensor, "b n"]) -> Float[Tensor, "b n d"]:
    """The cells numbered `at`."""
    return cells.gather(1, at[..., None].expand(-1, -1, cells.shape[-1]))


def pick(
    logits: Float[Tensor, "b K"], noise: Float[Tensor, " b"], temperature: float
) -> Int64[Tensor, " b"]:
    """One choice a row, by inverting the cumulative distribution at `noise`."""
    if temperature < 1e-3:
        return logits.argmax(-1)
    upto = (logits.float() / temperature).softmax(-1).cumsum(-1)
    choice = torch.searchsorted(upto, noise[:, None] * upto[:, -1:], right=True)[:, 0]
    return choice.clamp(max=logits.shape[-1] - 1)
