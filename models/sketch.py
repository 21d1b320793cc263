"""Sketch completion, stroke by stroke.

What is missing in a partial drawing y is a sequence of pen strokes; a small transformer is the
prior p(strokes | y, label), one point after the other (Ha and Eck 2017 draw so, there without a
picture to go on from), and the one rasteriser turns what it draws into ink. Every stroke is decided
when it is sampled: completions are as crisp as a pen, and the visitor's ink is kept.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from models.fast import bfloat16_copy, has_bfloat16
from models.images import draw_strokes, shrink, to_ink
from models.sketch_cvae import SketchCVAE
from models.sketch_points import ANY, SketchConfig, to_strokes
from models.sketch_strokes import StrokePrior

PACKED = ("context_layers", "layers", "kind_head", "query", "steps", "inner_mlp", "inner_head")


class SketchCompleter(nn.Module):
    """What ships."""

    config_class = SketchConfig

    def __init__(self, config: SketchConfig):
        super().__init__()
        self.config, self.labels = config, tuple(config.labels)
        self.prior = StrokePrior(config)
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
        divides the logits of each choice: 0 gives one greedy completion `count` times. ValueError
        where an argument is out of range.
        """
        self.check(partial, count, temperature)
        return self.draw(partial[None], [label], count, temperature, seed)

    @torch.inference_mode()
    def draw(
        self,
        partials: Float[Tensor, "d h w"],
        labels: Sequence[str],
        count: int,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n h w"]:
        """`count` completions: all of one partial drawing, or one of each of `count` drawings."""
        prior = self.fast_copy().prior
        device = prior.place.device
        index = torch.tensor([self.label_index(label) for label in labels], device=device)
        noise = torch.rand(
            count, self.config.max_points, 3, generator=torch.Generator().manual_seed(seed)
        )
        context = prior.context(partials.to(prior.place)[:, None], index)
        points = prior.sample(context, noise.to(device), temperature).cpu().numpy()
        drawn = [shrink(draw_strokes(to_strokes(row))) for row in points]
        return to_ink(np.stack(drawn)).maximum(partials.float().cpu())

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
