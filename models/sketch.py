"""Sketch completion by discrete codes that decide where the missing strokes go.

Two stages, as in VQ-VAE (van den Oord et al. 2017): an autoencoder of the whole drawing x given the
partial one y turns what is missing into an 8x8 grid of codes, and an autoregressive transformer is
the prior p(codes | y, label). The decoder sees y at every scale; the visitor's ink is kept.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.fast import bfloat16_copy, has_bfloat16
from models.sketch_autoencoder import ANY, SketchAutoencoder, SketchConfig
from models.sketch_cvae import SketchCVAE
from models.sketch_prior import SketchPrior

PACKED = (
    "context_layers",
    "before",
    "layers",
    "cell_layers",
    "head",
)  # of the prior, when sampling


class SketchCompleter(nn.Module):
    """What ships: the autoencoder and its prior."""

    config_class = SketchConfig

    def __init__(self, config: SketchConfig):
        super().__init__()
        self.config, self.labels = config, tuple(config.labels)
        self.autoencoder, self.prior = SketchAutoencoder(config), SketchPrior(config)
        object.__setattr__(self, "_fast", None)

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
        partial: Tensor,
        label: str = ANY,
        count: int = 16,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n h w"]:
        """`count` ink probabilities in [0, 1], nowhere less than `partial`, (h, w) ink in [0, 1].

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
        """This network, or on a CPU with bfloat16 units a bfloat16 copy of it, made once.

        The copy is dropped when the network goes back to training.
        """
        if self.training or not has_bfloat16() or next(self.parameters()).device.type != "cpu":
            return self
        if self._fast is None:
            fast = bfloat16_copy(self, [f"prior.{part}" for part in PACKED])
            object.__setattr__(self, "_fast", fast)  # not a submodule: its weights are these
        return self._fast

    def train(self, mode: bool = True) -> "SketchCompleter":
        """As in torch; forgets the fast copy."""
        object.__setattr__(self, "_fast", None)
        return super().train(mode)


MODELS = (SketchCompleter, SketchCVAE)
