"""The second phase of a VQ-VAE: p(codes | class), one cell after the other, in any order.

Each step is told which cell comes next (Pannatier et al. 2024), so that whatever part of a grid is
kept can come first, and the rest is drawn given all of it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.blocks import KVCache, PointBlock, init_transformer
from models.distributions import gumbel

ANY = -1  # no class is asked for
OPEN = -1  # in `keep`: a cell that is to be drawn
GUIDANCE = 0.5  # how far a label's logits go on beyond those without one (Ho and Salimans 2022)


@dataclass(frozen=True)
class CodesPriorConfig:
    """Rebuilds the network; saved beside the weights."""

    codes: int = 64
    """K of the codebook."""
    grid: int = 7
    """Cells a side."""
    names: tuple[str, ...] = ()
    """The classes; empty for pictures without one."""
    width: int = 128
    heads: int = 4
    layers: int = 4

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of heads {self.heads}")
        if min(self.codes, self.grid, self.layers) < 1:
            raise ValueError(f"codes, grid and layers must be positive: {self}")


class CodesPrior(nn.Module):
    """A causal transformer over the cells of a grid."""

    config_class = CodesPriorConfig

    def __init__(self, config: CodesPriorConfig | None = None):
        super().__init__()
        self.config = config = config or CodesPriorConfig()
        cells = config.grid**2
        self.code = nn.Embedding(config.codes, config.width)
        self.here = nn.Embedding(cells, config.width)
        self.next = nn.Embedding(cells, config.width)
        self.start = nn.Parameter(0.02 * torch.randn(config.width))
        self.label = nn.Embedding(len(config.names) + 1, config.width)  # the last one: any
        self.layers = nn.ModuleList(
            PointBlock(config.width, config.heads) for _ in range(config.layers)
        )
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.codes)
        init_transformer(self, config.layers)

    def forward(
        self,
        codes: Int64[Tensor, "b gh gw"],
        label: Int64[Tensor, " b"],
        order: Int64[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n k"]:
        """Logits of each cell given those before it in `order` (numbers of cells, row by row).

        A label of ANY asks for no class.
        """
        flat = codes.flatten(1)
        if order is None:
            order = torch.arange(flat.shape[1], device=codes.device).expand_as(flat)
        known = flat.gather(1, order)[:, :-1]
        past = self.code(known) + self.here(order[:, :-1])
        h = torch.cat([self.start.to(past).expand(len(past), 1, -1), past], 1) + self.next(order)
        memory = self.label(label % len(self.label.weight))[:, None]
        h = h + memory
        for layer in self.layers:
            h = layer(h, layer.remember(memory))
        return self.head(self.norm(h)).float()

    @torch.inference_mode()
    def sample(
        self,
        count: int,
        label: int | str | None = None,
        keep: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
    ) -> Int64[Tensor, "n gh gw"]:
        """`count` grids of codes, the first ones the same whatever `count` is.

        `label` is a class's number or name. `keep` (gh, gw) holds codes, and OPEN where one is to
        be drawn. A temperature of 0 takes the likeliest code at each cell, `top_k` draws among the
        k likeliest. ValueError where an argument is out of range.
        """
        number = self.check(count, label, keep, temperature, top_k)
        side, device = self.config.grid, self.start.device
        kept = torch.full((side**2,), OPEN) if keep is None else keep.flatten().long()
        order = (kept == OPEN).int().argsort(stable=True)
        noise = gumbel(count, side**2 * self.config.codes, seed).unflatten(1, (side**2, -1))
        noise = noise.to(device)
        plain = [] if label is None else [len(self.config.names)]
        told = torch.tensor([number, *plain], device=device).repeat_interleave(count)
        memory = self.label(told)[:, None]
        caches = [KVCache(layer.remember(memory), len(told), side**2) for layer in self.layers]
        out = torch.zeros(count, side**2, dtype=torch.long, device=device)
        h = self.start.expand(len(told), -1)
        for i, cell in enumerate(order.tolist()):
            h = h + self.next.weight[cell] + memory[:, 0]
            for layer, cache in zip(self.layers, caches, strict=True):
                h = layer.step(h, cache)
            logits, *free = self.head(self.norm(h)).float().split(count)
            for others in free:
                logits = logits + GUIDANCE * (logits - others)
            if top_k is not None:
                least = logits.topk(min(top_k, logits.shape[1]), 1).values[:, -1:]
                logits = logits.masked_fill(logits < least, -torch.inf)
            drawn = (logits + temperature * noise[:, i]).argmax(1)
            out[:, cell] = drawn if kept[cell] == OPEN else kept[cell].to(device)
            h = (self.code(out[:, cell]) + self.here.weight[cell]).repeat(1 + len(free), 1)
        return out.view(count, side, side).cpu()

    def check(
        self,
        count: int,
        label: int | str | None,
        keep: Tensor | None,
        temperature: float,
        top_k: int | None,
    ) -> int:
        """Refuse what cannot be sampled, in one sentence; the label's row."""
        names, side, k = self.config.names, self.config.grid, self.config.codes
        if isinstance(label, str):
            if label not in names:
                raise ValueError(f"unknown label {label!r}: choose one of {', '.join(names)}")
            label = names.index(label)
        if label is not None and not 0 <= label < len(names):
            raise ValueError(f"label must be None or 0 to {len(names) - 1}: {label}")
        if not 1 <= count <= 256:
            raise ValueError(f"count must be 1 to 256: {count}")
        if not 0 <= temperature <= 10:
            raise ValueError(f"temperature must be 0 to 10: {temperature}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k must be None or at least 1: {top_k}")
        if keep is not None:
            if tuple(keep.shape) != (side, side) or keep.is_floating_point():
                raise ValueError(f"keep must be integers ({side}, {side}): {tuple(keep.shape)}")
            if keep.min() < OPEN or keep.max() >= k:
                raise ValueError(f"keep must hold codes 0 to {k - 1}, or {OPEN} for open cells")
        return len(names) if label is None else label


MODELS = (CodesPrior,)
