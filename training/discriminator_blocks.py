"""What the discriminators on frozen ImageNet features share: projected GANs (Sauer et al. 2021)."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

STAGES = 5  # of EfficientNet-Lite0 whose maps are judged


def spectral_conv(channels: int, out: int, kernel: int = 3, stride: int = 1) -> nn.Module:
    """A convolution of Lipschitz constant about 1 (Miyato et al. 2018), padded to keep the size."""
    return spectral_norm(nn.Conv2d(channels, out, kernel, stride, kernel // 2))


def root_mean_square(x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b 1 1 1"]:
    """Of each picture's map, at least 0.001."""
    return x.float().square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-3).to(x.dtype)
