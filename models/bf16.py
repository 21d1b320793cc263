"""Copies of a network for faster sampling on a CPU.

Autoregressive sampling multiplies 16 rows by small matrices hundreds of times, where torch spends
more time on reordering the weights for each product than on the product. Here they are reordered
once.
"""

import copy
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResMLP

LAYOUT_ROWS = 16  # batch size for which the layout is chosen; others work too


class PackedLinear(nn.Module):
    """A bfloat16 linear layer with its weight in oneDNN's layout and an optional fused GELU."""

    def __init__(self, linear: nn.Linear, gelu: bool = False):
        super().__init__()
        weight = linear.weight.detach().bfloat16()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, LAYOUT_ROWS)
        self.bias = linear.bias.detach().bfloat16()
        self.act = ("gelu", [], "tanh") if gelu else ("none", [], "")

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """x W^T + b."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, *self.act)


def has_fast_bfloat16(device_type: str = "cpu") -> bool:
    """Whether bfloat16 is computed in hardware: AVX-512 BF16 or AMX on a CPU, or by a CUDA GPU."""
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class TransposedLinear(nn.Module):
    """A float32 linear layer with its weight stored transposed, for products of few rows."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.weight = linear.weight.detach().t().contiguous()
        self.bias = linear.bias.detach()

    def forward(self, x: Float[Tensor, "*b i"]) -> Float[Tensor, "*b o"]:
        """x W^T + b."""
        if x.dim() > 2:
            return F.linear(x, self.weight.t(), self.bias)
        return torch.addmm(self.bias, x, self.weight)


def bfloat16_copy(network: nn.Module, packed: Sequence[str] = ()) -> nn.Module:
    """An eval-mode copy in bfloat16 and channels_last; outputs agree to two digits.

    Linear layers at or under the `packed` names get oneDNN's layout. Where this torch lacks the
    (unofficial) operators for it, or the processor what they need, they stay as they are, with
    the same outputs.
    """
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    copied = copied.to(torch.bfloat16, memory_format=torch.channels_last)
    if not _can_pack():
        return copied
    for owner, name, linear in list(_linear_layers(copied, packed)):
        gelu = isinstance(owner, ResMLP) and name == "up"
        setattr(owner, name, PackedLinear(linear, gelu))
        if gelu:
            owner.act = nn.Identity()
    return copied


def float32_copy(network: nn.Module, packed: Sequence[str] = ()) -> nn.Module:
    """An eval-mode copy in float32; the linear layers at or under `packed` stored transposed."""
    copied = copy.deepcopy(network).eval().requires_grad_(False)
    for owner, name, linear in list(_linear_layers(copied, packed)):
        setattr(owner, name, TransposedLinear(linear))
    return copied


def _can_pack() -> bool:
    """Whether `PackedLinear` works with this torch on this processor: not on AVX2 alone."""
    operators = torch.ops.mkldnn
    if not hasattr(operators, "_reorder_linear_weight"):
        return False
    return bool(operators._is_mkldnn_bf16_supported())


def _linear_layers(
    network: nn.Module, names: Sequence[str]
) -> Iterator[tuple[nn.Module, str, nn.Linear]]:
    """The linear layers at or under these names: their owner, attribute and themselves."""
    for path, module in network.named_modules():
        if isinstance(module, nn.Linear) and any(f"{path}.".startswith(f"{n}.") for n in names):
            parent, _, leaf = path.rpartition(".")
            yield network.get_submodule(parent), leaf, module
