"""Prior p(codes | class) of a VQ-VAE: an autoregressive transformer in any order of the cells.

As in sigma-GPTs (Pannatier et al. 2024, arXiv 2404.09562), each step is given the position of the
cell that it predicts. So any known part of a grid can come first, and the rest is sampled from its
conditional distribution given all of it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.blocks import KVCache, ParallelDecoderBlock, init_transformer
from models.distributions import gumbel

UNCONDITIONAL = -1  # as a label: no class
MASKED = -1  # in `known`: a cell to sample


@dataclass(frozen=True)
class CodesPriorConfig:
    """Rebuilds the network; saved beside the weights."""

    num_codes: int = 64
    """Codebook size K."""
    grid_size: int = 7
    """Cells a side of the code grid."""
    class_names: tuple[str, ...] = ()
    """Classes in the order of their labels; empty without labels."""
    width: int = 128
    """Channels of the residual stream."""
    heads: int = 4
    """Attention heads of a layer."""
    layers: int = 4
    """Transformer blocks."""
    guidance_scale: float = 1.5
    """Classifier-free guidance w: uncond + w (cond - uncond) (Ho and Salimans 2022)."""

    def __post_init__(self):
        if self.width % self.heads:
            raise ValueError(f"width {self.width} must be a multiple of heads {self.heads}")
        if min(self.num_codes, self.grid_size, self.layers) < 1:
            raise ValueError(
                "num_codes, grid_size and layers must be positive, not "
                f"{self.num_codes}, {self.grid_size} and {self.layers}"
            )


class CodesPrior(nn.Module):
    """A causal transformer over the cells of a code grid."""

    config_class = CodesPriorConfig

    def __init__(self, config: CodesPriorConfig | None = None):
        super().__init__()
        self.config = config = config or CodesPriorConfig()
        cells = config.grid_size**2
        self.code_embed = nn.Embedding(config.num_codes, config.width)
        self.pos_embed = nn.Embedding(cells, config.width)
        self.target_pos_embed = nn.Embedding(cells, config.width)
        self.bos = nn.Parameter(0.02 * torch.randn(config.width))
        # the last row stands for UNCONDITIONAL
        self.label_embed = nn.Embedding(len(config.class_names) + 1, config.width)
        self.layers = nn.ModuleList(
            ParallelDecoderBlock(config.width, config.heads) for _ in range(config.layers)
        )
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.num_codes)
        init_transformer(self, config.layers)

    def forward(
        self,
        codes: Int64[Tensor, "b gh gw"],
        label: Int64[Tensor, " b"],
        order: Int64[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b n k"]:
        """Logits of each cell given the cells before it in `order`.

        `order` holds cell indices (row * grid_size + column), raster order where None. A label of
        UNCONDITIONAL gives the unconditional distribution.
        """
        flat = codes.flatten(1)
        if order is None:
            order = torch.arange(flat.shape[1], device=codes.device).expand_as(flat)
        past_codes = flat.gather(1, order)[:, :-1]
        past = self.code_embed(past_codes) + self.pos_embed(order[:, :-1])
        bos = self.bos.to(past).expand(len(past), 1, -1)
        h = torch.cat([bos, past], 1) + self.target_pos_embed(order)
        memory = self.label_embed(label % len(self.label_embed.weight))[:, None]
        h = h + memory
        for layer in self.layers:
            h = layer(h, layer.project_memory(memory))
        return self.head(self.norm(h)).float()

    @torch.inference_mode()
    def sample(
        self,
        count: int,
        label: int | str | None = None,
        known: Tensor | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        seed: int = 0,
    ) -> Int64[Tensor, "n gh gw"]:
        """`count` code grids; grid i depends on `seed` and i only, not on `count`.

        `label` is a class index or name, None for no class. `known` (gh, gw) holds codes to keep,
        and MASKED (-1) in the cells to sample. A temperature of 0 takes the most probable code of
        each cell; `top_k` samples among the k most probable. With a label, classifier-free guidance
        with the config's `guidance_scale` applies. ValueError where an argument is out of range.
        """
        row = self.validate_inputs(count, label, known, temperature, top_k)
        labels = torch.full((count,), row, device=self.bos.device)
        return self._sample(labels, label is not None, known, temperature, top_k, seed)

    @torch.inference_mode()
    def sample_labels(
        self, labels: Int64[Tensor, " n"], temperature: float = 1.0, seed: int = 0
    ) -> Int64[Tensor, "n gh gw"]:
        """A code grid of each label: row i is row i of `sample` with its label.

        `labels` are indices of `class_names`. ValueError where an argument is out of range.
        """
        for label in labels.unique().tolist():
            self.validate_inputs(len(labels), label, None, temperature, None)
        return self._sample(labels.to(self.bos.device), True, None, temperature, None, seed)

    def _sample(
        self,
        labels: Int64[Tensor, " n"],
        guided: bool,
        known: Tensor | None,
        temperature: float,
        top_k: int | None,
        seed: int,
    ) -> Int64[Tensor, "n gh gw"]:
        """Sample cell by cell; `labels` are rows of the embedding."""
        count, side, device = len(labels), self.config.grid_size, self.bos.device
        known = torch.full((side**2,), MASKED) if known is None else known.flatten().long()
        order = (known == MASKED).int().argsort(stable=True)
        noise = gumbel(count, side**2 * self.config.num_codes, seed).unflatten(1, (side**2, -1))
        noise = noise.to(device)
        if guided:
            labels = torch.cat([labels, torch.full_like(labels, len(self.config.class_names))])
        memory = self.label_embed(labels)[:, None]
        caches = [
            KVCache(layer.project_memory(memory), len(labels), side**2) for layer in self.layers
        ]
        out = torch.zeros(count, side**2, dtype=torch.long, device=device)
        h = self.bos.expand(len(labels), -1)
        for i, cell in enumerate(order.tolist()):
            h = h + self.target_pos_embed.weight[cell] + memory[:, 0]
            for layer, cache in zip(self.layers, caches, strict=True):
                h = layer.step(h, cache)
            logits = self.head(self.norm(h)).float()
            if guided:
                cond, uncond = logits.split(count)
                # uncond + w (cond - uncond), summed from cond, to which it is near
                logits = cond + (self.config.guidance_scale - 1) * (cond - uncond)
            if top_k is not None:
                lowest = logits.topk(min(top_k, logits.shape[1]), 1).values[:, -1:]
                logits = logits.masked_fill(logits < lowest, -torch.inf)
            sampled = (logits + temperature * noise[:, i]).argmax(1)
            out[:, cell] = sampled if known[cell] == MASKED else known[cell].to(device)
            h = self.code_embed(out[:, cell]) + self.pos_embed.weight[cell]
            h = h.repeat(len(labels) // count, 1)
        return out.view(count, side, side).cpu()

    def validate_inputs(
        self,
        count: int,
        label: int | str | None,
        known: Tensor | None,
        temperature: float,
        top_k: int | None,
    ) -> int:
        """The label's row of the embedding; ValueError for arguments that `sample` cannot take."""
        names, side, k = self.config.class_names, self.config.grid_size, self.config.num_codes
        if isinstance(label, str):
            if label not in names:
                raise ValueError(f"unknown label {label!r}: choose one of {', '.join(names)}")
            label = names.index(label)
        if label is not None and not 0 <= label < len(names):
            raise ValueError(f"label must be None or 0 to {len(names) - 1}, not {label}")
        if not 1 <= count <= 256:
            raise ValueError(f"count must be 1 to 256, not {count}")
        if not 0 <= temperature <= 10:
            raise ValueError(f"temperature must be 0 to 10, not {temperature}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k must be None or at least 1, not {top_k}")
        if known is not None:
            if tuple(known.shape) != (side, side) or known.is_floating_point():
                raise ValueError(
                    f"known must be integers ({side}, {side}), not {known.dtype} "
                    f"{tuple(known.shape)}"
                )
            if known.min() < MASKED or known.max() >= k:
                raise ValueError(
                    f"known must hold codes 0 to {k - 1}, or {MASKED} for cells to sample"
                )
        return len(names) if label is None else label


MODELS = (CodesPrior,)
