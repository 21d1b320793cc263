"""Residual, attention and decoder blocks that more than one demo uses."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    """x + conv(silu(conv(silu(x)))), without normalisation; the identity at initialisation."""

    def __init__(self, channels: int, kernel: int = 3):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(channels, channels, kernel, padding=kernel // 2)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Same shape out."""
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class FilmBlock(nn.Module):
    """Residual block with features scaled and shifted by a condition: FiLM (Perez et al. 2018)."""

    def __init__(self, channels: int, condition: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(
        self, x: Float[Tensor, "b c h w"], condition: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b c h w"]:
        """Same shape out."""
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, 1)
        h = self.conv1(F.silu(x)) * (1 + scale) + shift
        return x + self.conv2(F.silu(h))


class ResMLP(nn.Module):
    """x + down(gelu(up(norm(x)))), hidden width `expansion` times the input's."""

    def __init__(self, width: int, expansion: int = 4):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.act = nn.Linear(width, expansion * width), nn.GELU("tanh")
        self.down = nn.Linear(expansion * width, width)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """Same shape out."""
        return x + self.down(self.act(self.up(self.norm(x))))


def attention(
    q: Float[Tensor, "b heads n e"],
    k: Float[Tensor, "b heads m e"],
    v: Float[Tensor, "b heads m e"],
) -> Float[Tensor, "b heads n e"]:
    """softmax(q k^T / sqrt(e)) v.

    In training by two matrix products: on a CPU the fused kernel's backward takes twice as long.
    """
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    scores = (q @ k.transpose(-2, -1)).float() * q.shape[-1] ** -0.5
    return scores.softmax(-1).to(v.dtype) @ v


class TransformerBlock(nn.Module):
    """Pre-norm self-attention, then a residual MLP (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = ResMLP(width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Same shape out."""
        b, n, d = x.shape
        qkv = self.qkv(self.norm(x)).view(b, n, 3, self.heads, d // self.heads)
        h = attention(*qkv.permute(2, 0, 3, 1, 4).unbind(0))
        return self.mlp(x + self.out(h.transpose(1, 2).reshape(b, n, d)))


def spatial_attention(
    block: TransformerBlock, x: Float[Tensor, "b c h w"]
) -> Float[Tensor, "b c h w"]:
    """A transformer block over the spatial positions of a feature map."""
    tokens = block(x.flatten(2).transpose(1, 2))
    return tokens.transpose(1, 2).reshape(x.shape)


class KVCache:
    """Keys and values of one layer: those of a memory, then of positions added one by one.

    In float32: there torch attends to a hundred keys some times as fast as in bfloat16.
    """

    def __init__(self, memory: Float[Tensor, "d m kv"], rows: int, max_length: int):
        self.memory_length = self.length = memory.shape[1]
        shape = rows, self.length + max_length, memory.shape[2]
        self.kv, self.zero = torch.empty(shape, device=memory.device), memory.new_zeros(1).float()
        self.kv[:, : self.length] = memory
        self.scale = (memory.shape[2] // 2) ** -0.5

    @property
    def position(self) -> int:
        """How many positions were added after the memory."""
        return self.length - self.memory_length

    def attend(
        self, q: Float[Tensor, "b heads e"], kv: Float[Tensor, "b kv"]
    ) -> Float[Tensor, "b heads e"]:
        """Append one position, then softmax(q k^T / sqrt(e)) v over all so far."""
        self.kv.select(1, self.length).copy_(kv)
        self.length += 1
        k, v = self.kv.narrow(1, 0, self.length).chunk(2, -1)
        scores = torch.baddbmm(self.zero, q, k.mT, beta=0, alpha=self.scale)
        return torch.bmm(scores.softmax(-1), v)

    def select_rows(self, rows: Int64[Tensor, " r"]) -> None:
        """Keep these rows only."""
        self.kv = self.kv.index_select(0, rows)


class ParallelDecoderBlock(nn.Module):
    """Causal attention to a memory and to earlier positions, in parallel with an MLP.

    Attention and MLP share one input and one output projection, as in GPT-J (Wang and Komatsuzaki
    2021), and all heads share keys and values (multi-query attention, Shazeer 2019): half the
    calls, and a quarter of the memory traffic, for each position decoded. The MLP's activation is
    ReLU squared (So et al. 2021).
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, e = heads, width // heads
        self.split_sizes = width, e, e, 4 * width  # query, key, value, MLP
        self.norm = nn.LayerNorm(width)
        self.in_proj = nn.Linear(width, sum(self.split_sizes))
        self.out_proj = nn.Linear(5 * width, width)
        self.kv_proj = nn.Linear(width, 2 * e)

    def project_memory(self, memory: Float[Tensor, "b m d"]) -> Float[Tensor, "b m kv"]:
        """Keys and values of the memory."""
        return self.kv_proj(memory)

    def forward(
        self, x: Float[Tensor, "b n d"], memory: Float[Tensor, "b m kv"]
    ) -> Float[Tensor, "b n d"]:
        """Same shape out; `memory` comes from `project_memory`."""
        b, n, d = x.shape
        q, k, v, up = self.in_proj(self.norm(x)).split(self.split_sizes, -1)
        k, v = (torch.cat(p, 1) for p in zip(memory.chunk(2, -1), (k, v), strict=True))
        q = q.reshape(b, n * self.heads, -1)  # the heads of a position side by side
        scores = (q @ k.mT).float() * q.shape[-1] ** -0.5
        future = torch.ones(n, k.shape[1], dtype=torch.bool, device=x.device)
        future = future.triu(memory.shape[1] + 1).repeat_interleave(self.heads, 0)
        h = scores.masked_fill(future, -torch.inf).softmax(-1).to(v.dtype) @ v
        return x + self.out_proj(torch.cat([h.view(b, n, d), up.relu().square()], -1))

    def step(self, x: Float[Tensor, "b d"], cache: KVCache) -> Float[Tensor, "b d"]:
        """`forward` for the next position alone, the memory and the earlier ones in `cache`."""
        width, e, _, hidden = self.split_sizes
        q, kv, up = self.in_proj(self.norm(x)).split((width, 2 * e, hidden), -1)
        h = cache.attend(q.float().view(-1, self.heads, e), kv)
        up = up.relu_()
        h = torch.cat([h.view(-1, width).to(up.dtype), up.mul_(up)], -1)
        return self.out_proj(h).add_(x)


def init_convolutions(module: nn.Module) -> None:
    """Initialise all convolutions but those that start at zero as He et al. (2015).

    Without normalisation torch's default shrinks the signal at every layer: with it a classifier of
    faces learnt nothing in 1,400 steps.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.weight.any():
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")


@torch.no_grad()
def init_as_nearest(conv: nn.Conv2d, factor: int = 2) -> None:
    """Let a convolution before `pixel_shuffle(factor)` start without a grid, as after upsampling.

    The pixels of a block begin equal: ICNR (Aitken et al. 2017).
    """
    each = conv.weight[:: factor**2].repeat_interleave(factor**2, 0)
    conv.weight.copy_(each)


def init_transformer(module: nn.Module, layers: int) -> None:
    """GPT-2's initialisation: N(0, 0.02), output projections divided by sqrt(2 * layers)."""
    for name, parameter in module.named_parameters():
        if parameter.dim() == 2:
            is_output = name.endswith(("out.weight", "out_proj.weight", "down.weight"))
            nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5 if is_output else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
