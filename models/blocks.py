"""The blocks that the networks share."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ResBlock(nn.Module):
    """x + conv(silu(conv(silu(x)))), 3x3, no norm; starts as the identity."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Same shape out."""
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class KVCache:
    """Keys and values of one attention layer for `length` positions, filled one by one."""

    def __init__(self, batch: int, heads: int, length: int, width: int, like: Tensor):
        self.k = like.new_zeros(batch, heads, length, width)
        self.v = like.new_zeros(batch, heads, length, width)


class ResMLP(nn.Module):
    """x + down(gelu(up(norm(x)))), four times as wide inside."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.act = nn.Linear(width, 4 * width), nn.GELU("tanh")
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b d"]:
        """Same shape out."""
        return x + self.down(self.act(self.up(self.norm(x))))


def attention(
    q: Float[Tensor, "b heads n e"],
    k: Float[Tensor, "b heads m e"],
    v: Float[Tensor, "b heads m e"],
    causal: bool = False,
) -> Float[Tensor, "b heads n e"]:
    """softmax(q k^T / sqrt(e)) v.

    In training by plain matrix products: on a CPU the fused kernel's backward takes twice as long.
    """
    if not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    scores = (q @ k.transpose(-2, -1)).float() * q.shape[-1] ** -0.5
    if causal:
        n = q.shape[-2]
        future = torch.ones(n, n, dtype=torch.bool, device=q.device).triu(1)
        scores = scores.masked_fill(future, -torch.inf)
    return scores.softmax(-1).to(v.dtype) @ v


class TransformerBlock(nn.Module):
    """Pre-norm self-attention, then a residual MLP (Vaswani et al. 2017)."""

    def __init__(self, width: int, heads: int, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm = nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = ResMLP(width)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """Same shape out."""
        return self.mlp(x + self.self_attend(x))

    def self_attend(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        """What each position reads in the others, or in the earlier ones if causal."""
        b, n, d = x.shape
        qkv = self.qkv(self.norm(x)).view(b, n, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each b heads n d/heads
        h = attention(q, k, v, self.causal)
        return self.out(h.transpose(1, 2).reshape(b, n, d))

    def self_step(self, x: Float[Tensor, "b d"], cache: KVCache, at: int) -> Float[Tensor, "b d"]:
        """`self_attend` for position `at` alone, the earlier ones being in `cache`."""
        b, d = x.shape
        q, k, v = self.qkv(self.norm(x)).view(b, 3, self.heads, 1, d // self.heads).unbind(1)
        cache.k[:, :, at : at + 1], cache.v[:, :, at : at + 1] = k, v
        h = attention(q, cache.k[:, :, : at + 1], cache.v[:, :, : at + 1])
        return self.out(h.reshape(b, d))

    def new_cache(self, batch: int, length: int) -> KVCache:
        """An empty cache of this layer's shape and dtype."""
        like = self.norm.weight
        return KVCache(batch, self.heads, length, len(like) // self.heads, like)


class CrossBlock(TransformerBlock):
    """Causal self-attention, attention to a memory, then a residual MLP."""

    def __init__(self, width: int, heads: int):
        super().__init__(width, heads, causal=True)
        self.memory_norm, self.query_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.key_value, self.query = nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.memory_out = nn.Linear(width, width)

    def remember(self, memory: Float[Tensor, "b m d"]) -> tuple[Tensor, Tensor]:
        """Keys and values (b, heads, m, d / heads) of what can be attended to."""
        b, m, d = memory.shape
        kv = self.key_value(self.memory_norm(memory)).view(b, m, 2, self.heads, d // self.heads)
        k, v = kv.permute(2, 0, 3, 1, 4).unbind(0)
        return k, v

    def attend(
        self, x: Float[Tensor, "b n d"], memory: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "b n d"]:
        """What `x` reads in the memory."""
        b, n, d = x.shape
        q = self.query(self.query_norm(x)).view(b, n, self.heads, -1).transpose(1, 2)
        h = attention(q, *memory)
        return self.memory_out(h.transpose(1, 2).reshape(b, n, d))

    def forward(
        self, x: Float[Tensor, "b n d"], memory: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "b n d"]:
        """Same shape out; `memory` comes from `remember`."""
        x = x + self.self_attend(x)
        return self.mlp(x + self.attend(x, memory))

    def step(
        self, x: Float[Tensor, "b d"], cache: KVCache, memory: tuple[Tensor, Tensor], at: int
    ) -> Float[Tensor, "b d"]:
        """`forward` for position `at` alone, the earlier ones being in `cache`.

        One memory may serve all rows: then they ask it together.
        """
        x = x + self.self_step(x, cache, at)
        if len(memory[0]) == 1:
            return self.mlp(x + self.attend(x[None], memory)[0])
        return self.mlp(x + self.attend(x[:, None], memory)[:, 0])


def init_transformer(module: nn.Module, layers: int) -> None:
    """GPT-2's initialisation: N(0, 0.02), the residual branches' ends divided by sqrt(2 layers)."""
    for name, parameter in module.named_parameters():
        if parameter.dim() == 2:
            ends = name.endswith(("out.weight", "down.weight"))
            nn.init.normal_(parameter, std=0.02 / (2 * layers) ** 0.5 if ends else 0.02)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
