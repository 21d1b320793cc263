"""Sketch completion by discrete codes that decide where the missing strokes go.

Two stages, as in VQ-VAE (van den Oord et al. 2017): an autoencoder of the whole drawing x given the
partial one y turns what is missing into an 8x8 grid of codes, and an autoregressive transformer is
the prior p(codes | y, label). The decoder sees y at every scale; the visitor's ink is kept.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, ResMLP, TransformerBlock, init_transformer
from models.quantize import FiniteScalarQuantizer
from models.sketch_cvae import SketchCVAE

PATCH = 8  # px a side of what one code stands for
ANY = "any"


@dataclass(frozen=True)
class SketchConfig:
    """Rebuilds the network; saved beside the weights."""

    labels: tuple[str, ...]
    image_size: int = 64
    levels: tuple[int, ...] = (8, 5, 5, 5)
    fine_channels: int = 64
    coarse_channels: int = 128
    width: int = 192
    heads: int = 4
    code_width: int = 48
    context_layers: int = 2
    prior_layers: int = 6
    cell_layers: int = 2
    min_p: float = 0.0
    """Codes less likely than this share of the likeliest one are never sampled."""

    def __post_init__(self):
        if not self.labels or len(set(self.labels)) != len(self.labels) or ANY in self.labels:
            raise ValueError(f"labels must be different names other than 'any': {self.labels}")
        if self.image_size < 2 * PATCH or self.image_size % (2 * PATCH):
            raise ValueError(f"image_size must be a multiple of {2 * PATCH}: {self.image_size}")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        if not 0 <= self.min_p < 1:
            raise ValueError(f"min_p must be in [0, 1): {self.min_p}")


class SketchOutput(NamedTuple):
    """Logits of every pixel's ink, and the encoder's vectors before quantisation."""

    logits: Float[Tensor, "b 1 h w"]
    vectors: Float[Tensor, "b gh gw D"]


class SketchAutoencoder(nn.Module):
    """x given y -> codes -> x given y."""

    def __init__(self, config: SketchConfig):
        super().__init__()
        fine, coarse, dim = config.fine_channels, config.coarse_channels, len(config.levels)
        self.quantizer = FiniteScalarQuantizer(config.levels)
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(2 * 16, fine, 3, padding=1),
            ResBlock(fine),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            ResBlock(coarse),
            ResBlock(coarse),
            nn.Conv2d(coarse, dim, 1),
        )
        self.coarse = nn.Sequential(
            nn.Conv2d(dim + 64, coarse, 3, padding=1),
            ResBlock(coarse),
            ResBlock(coarse),
            nn.Conv2d(coarse, 4 * fine, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.fine = nn.Sequential(
            nn.Conv2d(fine + 16, fine, 3, padding=1),
            ResBlock(fine),
            nn.Conv2d(fine, 2 * fine, 3, padding=1),
            nn.PixelShuffle(2),
        )
        self.pixels = nn.Sequential(
            nn.Conv2d(fine // 2 + 4, 32, 3, padding=1),
            ResBlock(32),
            nn.SiLU(),
            nn.Conv2d(32, 4, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def vectors(
        self, x: Float[Tensor, "b 1 h w"], partial: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b gh gw D"]:
        """The encoder's answer before quantisation."""
        return self.encoder(torch.cat([x, partial], 1)).permute(0, 2, 3, 1).float()

    def encode(
        self, x: Float[Tensor, "b 1 h w"], partial: Float[Tensor, "b 1 h w"]
    ) -> Int64[Tensor, "b n"]:
        """The codes in reading order."""
        return self.quantizer.encode(self.vectors(x, partial)).flatten(1)

    def decode(
        self, z: Float[Tensor, "b gh gw D"], partial: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """Logits of p(x | codes, y), z the quantised vectors."""
        y8, y4, y2 = (F.pixel_unshuffle(partial, k) for k in (8, 4, 2))
        h = z.permute(0, 3, 1, 2).to(memory_format=torch.channels_last)
        h = self.coarse(torch.cat([h.to(y8.dtype), y8], 1))  # b fine 2gh 2gw
        h = self.fine(torch.cat([h, y4], 1))  # b fine/2 4gh 4gw
        return self.pixels(torch.cat([h, y2], 1)).float()

    def forward(
        self, x: Float[Tensor, "b 1 h w"], partial: Float[Tensor, "b 1 h w"]
    ) -> SketchOutput:
        """Training pass: encode, quantise straight-through, decode."""
        vectors = self.vectors(x, partial)
        return SketchOutput(self.decode(self.quantizer(vectors), partial), vectors)


class SketchContext(NamedTuple):
    """What the prior knows of the partial drawing and the label, a cell and a block."""

    cells: Float[Tensor, "b g 4 d"]
    blocks: Float[Tensor, "b g d"]


class SketchPrior(nn.Module):
    """p(codes | y, label), autoregressive over blocks of 2x2 codes and within each block.

    A causal transformer runs over the blocks; residual MLPs then draw a block's four codes one after
    the other (the idea of the RQ-transformer, Lee et al. 2022): a quarter of the positions to attend.
    """

    def __init__(self, config: SketchConfig):
        super().__init__()
        width, fine, coarse = config.width, config.fine_channels, config.coarse_channels
        self.min_p, self.grid = config.min_p, config.image_size // PATCH
        self.codes = FiniteScalarQuantizer(config.levels).codes
        blocks = (self.grid // 2) ** 2
        self.patches = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(16, fine, 3, padding=1),
            ResBlock(fine),
            nn.PixelUnshuffle(2),
            nn.Conv2d(4 * fine, coarse, 1),
            ResBlock(coarse),
        )
        self.cell = nn.Linear(coarse, width)
        self.block = nn.Linear(4 * coarse, width)
        self.label = nn.Embedding(len(config.labels) + 1, width)
        self.place = nn.Parameter(0.02 * torch.randn(blocks, width))
        self.context_layers = nn.ModuleList(
            TransformerBlock(width, config.heads, causal=False)
            for _ in range(config.context_layers)
        )
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.code = nn.Embedding(self.codes, config.code_width)
        self.before = nn.Linear(4 * config.code_width, width)  # the codes of the block before
        self.layers = nn.ModuleList(
            TransformerBlock(width, config.heads, causal=True) for _ in range(config.prior_layers)
        )
        self.within = nn.Linear(3 * config.code_width, width)  # this block's earlier codes
        self.register_buffer("earlier", torch.ones(4, 3).tril(-1), persistent=False)
        self.corner = nn.Parameter(0.02 * torch.randn(4, width))
        self.cell_layers = nn.Sequential(*(ResMLP(width) for _ in range(config.cell_layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, self.codes)
        for part in self.children():
            if not isinstance(part, nn.Sequential) or part is self.cell_layers:
                init_transformer(part, config.context_layers + config.prior_layers)

    def to_blocks(self, grid: Tensor) -> Tensor:
        """(b, gh * gw, ...) in reading order -> (b, blocks, 4, ...)."""
        half = self.grid // 2
        h = grid.reshape(len(grid), half, 2, half, 2, *grid.shape[2:])
        return h.transpose(2, 3).reshape(len(grid), half * half, 4, *grid.shape[2:])

    def from_blocks(self, blocks: Int64[Tensor, "b g 4"]) -> Int64[Tensor, "b n"]:
        """The inverse of `to_blocks`."""
        half = self.grid // 2
        return blocks.view(-1, half, half, 2, 2).transpose(2, 3).reshape(len(blocks), -1)

    def context(
        self, partial: Float[Tensor, "b 1 h w"], label: Int64[Tensor, " b"]
    ) -> SketchContext:
        """Read the partial drawing; a label of len(labels) means any."""
        h = self.to_blocks(self.patches(partial).flatten(2).transpose(1, 2))  # b g 4 coarse
        blocks = self.block(h.flatten(2)) + self.place + self.label(label)[:, None]
        for layer in self.context_layers:
            blocks = layer(blocks)
        return SketchContext(self.cell(h) + self.corner, blocks)

    def forward(
        self,
        codes: Int64[Tensor, "b n"],
        partial: Float[Tensor, "b 1 h w"],
        label: Int64[Tensor, " b"],
    ) -> Float[Tensor, "b n K"]:
        """Logits of every code given those before it, rows ordered as `from_blocks` orders codes."""
        context = self.context(partial, label)
        code = self.code(self.to_blocks(codes))  # b g 4 e
        before = self.before(code[:, :-1].flatten(2))
        h = torch.cat([self.start.to(before).expand(len(codes), 1, -1), before], 1) + context.blocks
        for layer in self.layers:
            h = layer(h)
        earlier = code[:, :, None, :3] * self.earlier[:, :, None]  # b g 4 3 e
        h = self.cell_layers(h[:, :, None] + self.within(earlier.flatten(3)) + context.cells)
        logits = self.head(self.norm(h)).float()  # b g 4 K
        half = self.grid // 2
        return logits.unflatten(1, (half, half)).unflatten(3, (2, 2)).transpose(2, 3).flatten(1, 4)

    def sample(
        self, context: SketchContext, noise: Float[Tensor, "b n"], temperature: float
    ) -> Int64[Tensor, "b n"]:
        """Draw codes by inverting the cumulative distribution at `noise`, uniform in [0, 1).

        `temperature` divides the logits; at 0 the likeliest code is taken each time.
        """
        b, n = noise.shape
        caches = [layer.new_cache(b, n // 4) for layer in self.layers]
        drawn = torch.zeros(b, n // 4, 4, dtype=torch.long, device=noise.device)
        before = self.start.expand(b, -1)
        weights = self.within.weight.t().chunk(3)  # one for each earlier cell
        for g in range(n // 4):
            h = before + context.blocks[:, g]
            for layer, cache in zip(self.layers, caches, strict=True):
                h = layer.step(h, cache, g)
            h = h + self.within.bias
            code = h.new_zeros(b, 4, self.code.embedding_dim)
            for k in range(4):
                logits = self.head(self.norm(self.cell_layers(h + context.cells[:, g, k])))
                drawn[:, g, k] = self.pick(logits.float(), noise[:, 4 * g + k], temperature)
                code[:, k] = self.code(drawn[:, g, k])
                if k < 3:
                    h = h + code[:, k] @ weights[k]
            before = self.before(code.flatten(1))
        return self.from_blocks(drawn)

    def pick(
        self, logits: Float[Tensor, "b K"], noise: Float[Tensor, " b"], temperature: float
    ) -> Int64[Tensor, " b"]:
        """One code a row."""
        if temperature == 0:
            return logits.argmax(-1)
        p = (logits / temperature).softmax(-1)
        p = p.masked_fill(p < self.min_p * p.amax(-1, keepdim=True), 0)
        upto = p.cumsum(-1)
        code = torch.searchsorted(upto, noise[:, None] * upto[:, -1:], right=True)[:, 0]
        return code.clamp(max=self.codes - 1)


class SketchCompleter(nn.Module):
    """What ships: the autoencoder and its prior."""

    config_class = SketchConfig

    def __init__(self, config: SketchConfig):
        super().__init__()
        self.config, self.labels = config, tuple(config.labels)
        self.autoencoder, self.prior = SketchAutoencoder(config), SketchPrior(config)
        self._fast: SketchCompleter | None = None

    def label_index(self, label: str) -> int:
        """The number of a label; `any` comes after the last one."""
        if label == ANY:
            return len(self.labels)
        if label not in self.labels:
            raise ValueError(f"unknown label {label!r}: choose 'any' or {', '.join(self.labels)}")
        return self.labels.index(label)

    @torch.inference_mode()
    def complete(
        self,
        partial: Float[Tensor, "h w"],
        label: str = ANY,
        count: int = 16,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n h w"]:
        """`count` ink probabilities in [0, 1], nowhere less ink than in `partial`.

        The same seed gives the same pictures, the first ones whatever `count` is. `temperature`
        divides the logits of the codes: 0 gives the likeliest completion `count` times. ValueError
        where an argument is out of range.
        """
        self.check(partial, count, temperature)
        index = torch.tensor([self.label_index(label)])
        net = self.fast_copy()
        device = next(net.parameters()).device
        n = self.prior.grid**2
        noise = torch.rand(count, n, generator=torch.Generator().manual_seed(seed)).to(device)
        y = partial.to(net.prior.place)[None, None]
        context = net.prior.context(y, index.to(device))
        codes = net.prior.sample(context, noise, temperature)
        z = net.autoencoder.quantizer.decode(codes).unflatten(1, (self.prior.grid, -1))
        logits = net.autoencoder.decode(z, y.expand(count, -1, -1, -1))
        return logits.sigmoid()[:, 0].maximum(partial.to(device, torch.float32))

    def check(self, partial: Tensor, count: int, temperature: float) -> None:
        """Refuse what `complete` cannot answer, in one sentence."""
        size = self.config.image_size
        if tuple(partial.shape) != (size, size):
            raise ValueError(f"partial must be ({size}, {size}), ink in [0, 1]: {partial.shape}")
        if not partial.is_floating_point() or not ((partial >= 0) & (partial <= 1)).all():
            raise ValueError("partial must hold ink in [0, 1] as floats, no NaN")
        if not 1 <= count <= 256:
            raise ValueError(f"count must be 1 to 256: {count}")
        if not 0 <= temperature <= 10:
            raise ValueError(f"temperature must be 0 to 10: {temperature}")

    def fast_copy(self) -> "SketchCompleter":
        """The network itself, or in eval mode on a CPU with bfloat16 units a cached bfloat16 copy."""
        return self


MODELS = (SketchCompleter, SketchCVAE)
