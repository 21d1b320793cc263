"""The transformer that predicts the missing strokes of a sketch, point by point."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ParallelDecoderBlock, ResBlock, TransformerBlock, init_transformer
from models.sketch.tokens import BINS, MOVE, Points, SketchConfig


class Context(NamedTuple):
    """Encoded partial drawing: memory tokens, features and keys of each cell, label logits."""

    tokens: Float[Tensor, "b m d"]
    cells: Float[Tensor, "b c f"]
    keys: Float[Tensor, "b c f"]
    label: Float[Tensor, "b k"]


class PointLogits(NamedTuple):
    """Logits of the label, of each point's kind, its cell given the kind, its offset in it."""

    label: Float[Tensor, "b k"]
    kind: Float[Tensor, "b n 3"]
    cell: Float[Tensor, "b n c"]
    offset: Float[Tensor, "b n o"]

    def with_temperature(self, temperature: Float[Tensor, " b"]) -> "PointLogits":
        """The points' logits of each sequence divided by its temperature."""
        t = temperature[:, None, None]
        return PointLogits(self.label, self.kind / t, self.cell / t, self.offset / t)


class StrokePrior(nn.Module):
    """p(label | partial drawing) p(missing strokes | partial drawing, label), autoregressively.

    The position of a point is factorised into a cell of the feature map and an offset in the cell.
    A cell's logit is the product of a query with the cell's key, plus a bias that depends on the
    displacement from the previous point's cell.
    """

    def __init__(self, config: SketchConfig):
        super().__init__()
        width, fine, coarse = config.width, config.fine_channels, config.coarse_channels
        self.config = config
        self.grid_size = config.image_size // 4  # cells a side
        self.cell_size = BINS // self.grid_size  # positions a side of a cell
        cells, offsets = self.grid_size**2, self.cell_size**2
        displacements = (2 * self.grid_size) ** 2
        self.fine_encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(16, fine, 3, padding=1),
            ResBlock(fine),
            ResBlock(fine),
        )
        self.coarse_encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            ResBlock(coarse),
            nn.Conv2d(coarse, width, 1),
        )
        self.pos_embed = nn.Parameter(0.02 * torch.randn(cells // 4, width))
        self.context_layers = nn.ModuleList(
            TransformerBlock(width, config.heads) for _ in range(config.context_layers)
        )
        self.context_norm = nn.LayerNorm(width)
        self.label_head = nn.Linear(width, len(config.labels))
        self.upsample_proj = nn.Linear(width, fine)
        self.cell_pos_embed = nn.Parameter(0.02 * torch.randn(cells, fine))
        self.key_proj = nn.Linear(fine, fine)

        self.label_embed = nn.Embedding(len(config.labels), width)
        self.bos = nn.Parameter(0.02 * torch.randn(width))
        self.step_pos_embed = nn.Parameter(0.02 * torch.randn(config.max_points, width))
        # Input: the previous point's cell features, kind, offset and displacement.
        self.cell_proj = nn.Linear(fine, width)
        self.prev_kind_embed = nn.Embedding(3, width)
        self.offset_embed = nn.Embedding(offsets, width)
        self.displacement_embed = nn.Embedding(displacements, width)
        self.layers = nn.ModuleList(
            ParallelDecoderBlock(width, config.heads) for _ in range(config.layers)
        )
        self.head_sizes = 3, fine, displacements, offsets  # kind, cell query, displacement, offset
        self.norm, self.output_head = nn.LayerNorm(width), nn.Linear(width, sum(self.head_sizes))
        self.kind_embed = nn.Embedding(2, width)  # conditions cell and offset on the kind
        self.offset_head = nn.Linear(fine, offsets)
        for name, part in self.named_children():
            if name not in ("fine_encoder", "coarse_encoder"):
                init_transformer(part, config.context_layers + config.layers)
        cell = torch.arange(cells)
        rows, columns = (
            axis[None] - axis[:, None] + self.grid_size
            for axis in (cell // self.grid_size, cell % self.grid_size)
        )
        displacement = rows * 2 * self.grid_size + columns
        self.register_buffer("displacement_to", displacement, persistent=False)  # [from, to]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pos_embed.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights."""
        return self.pos_embed.dtype

    @property
    def start_cell(self) -> int:
        """The cell from which the first displacement counts: the middle of the grid."""
        return self.grid_size**2 // 2 + self.grid_size // 2

    def kind_logits(
        self,
    ) -> tuple[Float[Tensor, "2 f"], Float[Tensor, "2 s"], Float[Tensor, "2 o"]]:
        """What DRAW and MOVE add to query, displacement and offset: the head of `kind_embed`."""
        kinds = self.kind_embed.weight
        outputs = self.output_head(torch.cat([kinds, torch.zeros_like(kinds[:1])]))
        return (outputs[:2] - outputs[2:]).split(self.head_sizes, -1)[1:]

    def encode(self, partial: Float[Tensor, "b 1 h w"]) -> Context:
        """Features of the partial drawing, ink in [0, 1] on any device and of any float type."""
        fine = self.fine_encoder(partial.to(self.device, self.dtype))
        h = self.coarse_encoder(fine).flatten(2).transpose(1, 2) + self.pos_embed
        for layer in self.context_layers:
            h = layer(h)
        h = self.context_norm(h)
        half = self.grid_size // 2
        upsampled = self.upsample_proj(h).unflatten(1, (half, 1, half, 1))
        upsampled = upsampled.expand(-1, half, 2, half, 2, -1)
        cells = fine.flatten(2).transpose(1, 2) + upsampled.flatten(1, 4)
        cells = cells + self.cell_pos_embed.to(cells.dtype)
        return Context(h, cells, self.key_proj(cells), self.label_head(h.mean(1)))

    def forward(
        self, points: Points, partial: Float[Tensor, "d 1 h w"], label: Int64[Tensor, " b"]
    ) -> PointLogits:
        """Logits of the label, and of every point given the label and the previous points.

        `b` is a multiple of `d`: the sequences of one drawing are consecutive.
        """
        context = expand_context(self.encode(partial), len(label) // len(partial))
        return self.decode(context, points, label)

    def decode(self, context: Context, points: Points, label: Int64[Tensor, " b"]) -> PointLogits:
        """`forward` from an encoded context, one row a sequence."""
        grid, size = self.grid_size, self.cell_size
        cell = points.y // size * grid + points.x // size
        offset = points.y % size * size + points.x % size
        previous = torch.cat([torch.full_like(cell[:, :1], self.start_cell), cell[:, :-1]], 1)
        features = gather_cells(context.cells, cell)
        displacement = self.displacement_to[previous, cell]
        inputs = (
            self.prev_kind_embed(points.kind)
            + self.offset_embed(offset)
            + self.displacement_embed(displacement)
            + self.cell_proj(features)
        )
        h = torch.cat([self.bos.to(inputs.dtype).expand(len(inputs), 1, -1), inputs[:, :-1]], 1)
        h = h + self.step_pos_embed[: h.shape[1]] + self.label_embed(label)[:, None]
        for layer in self.layers:
            h = layer(h, layer.project_memory(context.tokens))
        h = self.norm(h)
        kind, *outputs = self.output_head(h).split(self.head_sizes, -1)
        first = torch.tensor([-torch.inf, 0, 0]).to(kind)  # a sequence cannot start with DRAW
        kind = torch.cat([kind[:, :1] + first, kind[:, 1:]], 1)
        draw_or_move = points.kind.clamp(max=MOVE)
        query, displacement, offset = (
            output + F.embedding(draw_or_move, of_kind)
            for output, of_kind in zip(outputs, self.kind_logits(), strict=True)
        )
        cell = query @ context.keys.transpose(1, 2) * context.keys.shape[-1] ** -0.5
        cell = cell + displacement.gather(-1, self.displacement_to[previous])
        offset = offset + self.offset_head(features)
        return PointLogits(context.label.float(), kind.float(), cell.float(), offset.float())


def expand_context(context: Context, times: int) -> Context:
    """Every row `times` times, consecutively."""
    return context if times == 1 else Context(*(p.repeat_interleave(times, 0) for p in context))


def gather_cells(
    cells: Float[Tensor, "b c d"], index: Int64[Tensor, "b n"]
) -> Float[Tensor, "b n d"]:
    """The features of the cells with these indices."""
    return cells.gather(1, index[..., None].expand(-1, -1, cells.shape[-1]))
