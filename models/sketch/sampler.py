"""Sampling from a `StrokePrior`, one point after the other, with a key-value cache."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from models.blocks import KVCache
from models.sketch.stroke_prior import Context, StrokePrior
from models.sketch.tokens import END, MOVE

PRUNE_EVERY = 4  # points after which finished sequences are dropped from the batch


class PointNoise(NamedTuple):
    """Gumbel noise, added to logits: the largest sum is a sample (Gumbel 1954)."""

    kind: Float[Tensor, "b n 3"]
    cell: Float[Tensor, "b n c"]
    offset: Float[Tensor, "b n o"]

    def select_rows(self, rows: Int64[Tensor, " r"]) -> "PointNoise":
        """The noise of these rows."""
        return PointNoise(*(part.index_select(0, rows) for part in self))


def sample(
    prior: StrokePrior, context: Context, label: Int64[Tensor, " b"], noise: PointNoise
) -> Int64[Tensor, "b n 3"]:
    """Points (kind, x, y), greedy where the noise is 0; the context has one row, or one a sequence.

    When half of the sequences have ended, the batch is reduced to the others.
    """
    b, max_points, _ = noise.kind.shape
    out = torch.full((b, max_points, 3), END, device=label.device)
    rows = torch.arange(b, device=label.device)
    decoder, tokens, start = IncrementalDecoder(prior, context, label, max_points), [], 0
    ended = torch.zeros(b, dtype=torch.bool, device=label.device)
    for i in range(max_points):
        tokens.append(decoder.step(*(part.select(1, i) for part in noise)))
        if i % PRUNE_EVERY < PRUNE_EVERY - 1:
            continue
        recent = torch.stack([kind for kind, _, _ in tokens[-PRUNE_EVERY:]])
        ended |= (recent == END).any(0)
        unfinished = len(rows) - int(ended.sum())
        if not unfinished:
            break
        if 2 * unfinished <= len(rows):
            out[rows, start : i + 1] = to_grid_points(prior, tokens)
            kept = ended.int().argsort(stable=True)[: len(rows) // 2]
            rows, noise, ended = rows[kept], noise.select_rows(kept), ended[kept]
            decoder.select_rows(kept)
            tokens, start = [], i + 1
    if tokens:
        out[rows, start : start + len(tokens)] = to_grid_points(prior, tokens)
    past_end = (out[..., 0] == END).cumsum(1)[..., None] > 0
    return out.masked_fill(past_end, END)


def to_grid_points(
    prior: StrokePrior, tokens: list[tuple[Int64[Tensor, " r"], ...]]
) -> Int64[Tensor, "r n 3"]:
    """Kind, x and y of (kind, cell, offset) of some points of each sequence."""
    kind, cell, offset = (torch.stack(part, 1) for part in zip(*tokens, strict=True))
    x = cell % prior.grid_size * prior.cell_size + offset % prior.cell_size
    y = cell // prior.grid_size * prior.cell_size + offset // prior.cell_size
    return torch.stack([kind, x, y], -1)


class IncrementalDecoder:
    """Samples the next point of each sequence, by the logits of `StrokePrior.decode`."""

    def __init__(
        self, prior: StrokePrior, context: Context, label: Int64[Tensor, " b"], max_points: int
    ):
        b = len(label)
        self.prior, self.is_first, self.shared = prior, True, len(context.cells) == 1
        self.keys = context.keys.mT.float() * context.keys.shape[-1] ** -0.5
        self.cell_inputs = prior.cell_proj(context.cells).flatten(0, 1)
        self.cell_offsets = prior.offset_head(context.cells).flatten(0, 1)
        # index of each sequence's first cell in the two tables above
        self.cells = prior.grid_size**2
        self.first_cell = torch.arange(b, device=label.device) * (0 if self.shared else self.cells)
        self.caches = [
            KVCache(layer.project_memory(context.tokens), b, max_points) for layer in prior.layers
        ]
        self.pos_embed = prior.step_pos_embed[:, None] + prior.label_embed(label)
        self.h = prior.bos.expand(b, -1)
        self.cell = torch.full_like(label, prior.start_cell)
        self.kind_logits = torch.cat(prior.kind_logits(), -1)[[0, 1, 1]]  # END has no position
        self.displacement_of_pair = prior.displacement_to.flatten()
        # input embedding of each pair of kind and offset
        self.token_embed = prior.prev_kind_embed.weight[:, None] + prior.offset_embed.weight
        self.token_embed = self.token_embed.flatten(0, 1)

    def step(
        self,
        kind_noise: Float[Tensor, "b 3"],
        cell_noise: Float[Tensor, "b c"],
        offset_noise: Float[Tensor, "b o"],
    ) -> tuple[Int64[Tensor, " b"], Int64[Tensor, " b"], Int64[Tensor, " b"]]:
        """Kind, cell and offset of the next point."""
        prior = self.prior
        h = self.h + self.pos_embed[self.caches[0].position]
        for layer, cache in zip(prior.layers, self.caches, strict=True):
            h = layer.step(h, cache)
        kind, outputs = prior.output_head(prior.norm(h)).tensor_split((3,), -1)
        kind = kind + kind_noise
        if self.is_first:
            kind[:, :MOVE] = -torch.inf
            self.is_first = False
        kind = kind.argmax(-1)
        outputs = outputs + self.kind_logits.index_select(0, kind)
        query, displacement_logits, offset = outputs.split(prior.head_sizes[1:], -1)
        query = query.float()
        cell = query @ self.keys[0] if self.shared else (query[:, None] @ self.keys)[:, 0]
        displacements = prior.displacement_to.index_select(0, self.cell)
        cell = (cell + displacement_logits.gather(-1, displacements) + cell_noise).argmax(-1)
        pair = torch.add(cell, self.cell, alpha=self.cells)
        displacement = self.displacement_of_pair.index_select(0, pair)
        cell_index = cell if self.shared else cell + self.first_cell
        offset = offset + self.cell_offsets.index_select(0, cell_index)
        offset = (offset + offset_noise).argmax(-1)
        token = torch.add(offset, kind, alpha=prior.cell_size**2)
        self.h = (
            self.token_embed.index_select(0, token)
            + prior.displacement_embed.weight.index_select(0, displacement)
            + self.cell_inputs.index_select(0, cell_index)
        )
        self.cell = cell
        return kind, cell, offset

    def select_rows(self, rows: Int64[Tensor, " r"]) -> None:
        """Continue with these sequences only."""
        for cache in self.caches:
            cache.select_rows(rows)
        self.h, self.cell, self.first_cell = (
            part.index_select(0, rows) for part in (self.h, self.cell, self.first_cell)
        )
        self.pos_embed = self.pos_embed.index_select(1, rows)
        if not self.shared:
            self.keys = self.keys.index_select(0, rows)
