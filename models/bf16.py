"""A bfloat16 copy of a network for faster sampling on a CPU; outputs agree to two digits.

Autoregressive sampling multiplies 16 rows by small matrices hundreds of times, where torch spends
more time on reordering the weights for each product than on the product. Here they are reordered
once.
"""

import copy
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

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


def bfloat16_copy(network: nn.Module, packed: Sequence[str] = ()) -> nn.Module:
    """An eval-mode copy in bfloat16 and channels_last.

    Linear layers at or under the `packed` names get oneDNN's layout. Where this torch lacks the
    (unofficial) operators for it, they stay as they are, with the same outputs.
    """
    fast = copy.deepcopy(network).eval().requires_grad_(False)
    fast = fast.to(torch.bfloat16, memory_format=torch.channels_last)
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return fast
    for name in packed:
        for path, module in list(fast.named_modules()):
            inside = path == name or path.startswith(f"{name}.")
            if inside and isinstance(module, nn.Linear):
                parent, _, leaf = path.rpartition(".")
                owner = fast.get_submodule(parent)
                gelu = isinstance(owner, ResMLP) and leaf == "up"
                setattr(owner, leaf, PackedLinear(module, gelu))
                if gelu:
                    owner.act = nn.Identity()
    return fast
