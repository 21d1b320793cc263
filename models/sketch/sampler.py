"""Drawing with a `StrokePrior`, one point after the other."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.blocks import KVCache
from models.sketch.stroke_prior import Context, StrokePrior
from models.sketch.tokens import END, MOVE

CHECK = 4  # points after which it is looked which sequences have ended


class PointNoise(NamedTuple):
    """Gumbel noise, added to logits: the largest sum is a sample (Gumbel 1954)."""

    kind: Float[Tensor, "b n 3"]
    cell: Float[Tensor, "b n c"]
    inner: Float[Tensor, "b n i"]

    def of(self, rows: Int64[Tensor, " r"]) -> "PointNoise":
        """The noise of some rows."""
        return PointNoise(*(part.index_select(0, rows) for part in self))


def sample(
    prior: StrokePrior, context: Context, label: Int64[Tensor, " b"], noise: PointNoise
) -> Int64[Tensor, "b n 3"]:
    """Points, greedily where the noise is 0; a context of one drawing serves all rows.

    Whenever half of the sequences have ended, only the others go on.
    """
    b, limit, _ = noise.kind.shape
    out = torch.full((b, limit, 3), END, device=label.device)
    rows = torch.arange(b, device=label.device)
    pen, drawn, start = Pen(prior, context, label, limit), [], 0
    for i in range(limit):
        drawn.append(pen.point(*(part[:, i] for part in noise)))
        if i % CHECK < CHECK - 1 and i < limit - 1:
            continue
        out[rows, start : i + 1] = points_of(prior, drawn)
        ended = (out[rows, : i + 1, 0] == END).any(1)
        going = len(rows) - int(ended.sum())
        if not going:
            break
        if 2 * going <= len(rows):
            kept = ended.int().argsort(stable=True)[: len(rows) // 2]
            rows, noise = rows[kept], noise.of(kept)
            pen.keep(kept)
        drawn, start = [], i + 1
    at_end = (out[..., 0] == END).cumsum(1)[..., None] > 0
    return out.masked_fill(at_end, END)


def points_of(
    prior: StrokePrior, drawn: list[tuple[Int64[Tensor, " r"], ...]]
) -> Int64[Tensor, "r n 3"]:
    """Kind, x and y of some (kind, cell, place in it) of each sequence."""
    kind, cell, inner = (torch.stack(part, 1) for part in zip(*drawn, strict=True))
    x = cell % prior.grid * prior.size + inner % prior.size
    y = cell // prior.grid * prior.size + inner // prior.size
    return torch.stack([kind, x, y], -1)


class Pen:
    """Draws the next point of each sequence, by the logits of `StrokePrior.given`."""

    def __init__(
        self, prior: StrokePrior, context: Context, label: Int64[Tensor, " b"], limit: int
    ):
        b = len(label)
        self.prior, self.first, self.one = prior, True, len(context.cells) == 1
        self.keys = context.keys.mT.float() * context.keys.shape[-1] ** -0.5
        self.around = prior.around(context.cells).flatten(0, 1)
        self.inner_there = prior.inner_there(context.cells).flatten(0, 1)
        self.row = torch.arange(b, device=label.device) * (0 if self.one else prior.grid**2)
        self.caches = [KVCache(layer.remember(context.tokens), b, limit) for layer in prior.layers]
        self.at = prior.at[:, None] + prior.label(label)
        self.h, self.cell = prior.start.expand(b, -1), torch.full_like(label, prior.middle)
        self.given = torch.cat(prior.given_choices(), -1)
        self.past = prior.kind.weight[:, None] + prior.inner.weight  # of a kind and a place
        self.past = self.past.flatten(0, 1)

    def point(
        self,
        kind_noise: Float[Tensor, "b 3"],
        cell_noise: Float[Tensor, "b c"],
        inner_noise: Float[Tensor, "b i"],
    ) -> tuple[Int64[Tensor, " b"], Int64[Tensor, " b"], Int64[Tensor, " b"]]:
        """Kind, cell and place in the cell."""
        prior = self.prior
        h = self.h + self.at[self.caches[0].filled - self.caches[0].memory]
        for layer, cache in zip(prior.layers, self.caches, strict=True):
            h = layer.step(h, cache)
        h = prior.norm(h)
        kind, rest = prior.choices(h).tensor_split((3,), -1)
        kind = kind + kind_noise
        if self.first:
            kind[:, :MOVE] = -torch.inf
            self.first = False
        kind = kind.argmax(-1)
        going = kind.clamp(max=MOVE)
        rest = rest + self.given.index_select(0, going)
        query, steps, inner = rest.split(prior.parts[1:], -1)
        query = query.float()
        logits = query @ self.keys[0] if self.one else (query[:, None] @ self.keys)[:, 0]
        ways = prior.step_to.index_select(0, self.cell)
        cell = (logits + steps.gather(-1, ways) + cell_noise).argmax(-1)
        way = ways.gather(-1, cell[:, None])[:, 0]
        there = cell + self.row
        inner = inner + self.inner_there.index_select(0, there)
        inner = (inner + inner_noise).argmax(-1)
        past = self.past.index_select(0, torch.add(inner, kind, alpha=prior.size**2))
        self.h = past + prior.step.weight.index_select(0, way) + self.around.index_select(0, there)
        self.cell = cell
        return kind, cell, inner

    def keep(self, rows: Int64[Tensor, " r"]) -> None:
        """Go on with these sequences only."""
        for cache in self.caches:
            cache.keep(rows)
        self.h, self.cell, self.row = (
            part.index_select(0, rows) for part in (self.h, self.cell, self.row)
        )
        self.at = self.at.index_select(1, rows)
        if not self.one:
            self.keys = self.keys.index_select(0, rows)
