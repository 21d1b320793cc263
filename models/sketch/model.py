"""Sketch completion, stroke by stroke.

Two latents stand between a partial drawing y and the finished one: what it is, p(label | y), and
what is missing, a sequence of pen strokes. A small transformer is the prior p(strokes | y, label),
one point after the other (Ha and Eck 2017 draw so, there without a picture to go on from), and the
one rasteriser turns what it draws into ink. Every stroke is decided when it is sampled: completions
are as crisp as a pen, and the visitor's ink is kept.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.bf16 import bfloat16_copy, has_fast_bfloat16
from models.distributions import gumbel
from models.images import downsample, draw_strokes, to_ink
from models.sketch.cvae import SketchCVAE
from models.sketch.sampler import PointNoise, sample
from models.sketch.stroke_prior import Context, StrokePrior
from models.sketch.tokens import ANY, END, SketchConfig, to_strokes

PACKED = ("context_layers", "layers", "choices")
CALM = 0.4  # a temperature of 1 divides the logits by this: nearer to real drawings than 1 is
SURE = 0.5  # and those of the label, where it is guessed
LINGER = 0.8  # taken off the logit of END: halves of drawings would end a little too soon


class SketchCompleter(nn.Module):
    """What ships."""

    config_class = SketchConfig

    def __init__(self, config: SketchConfig):
        super().__init__()
        self.config, self.labels = config, tuple(config.labels)
        self.prior = StrokePrior(config)
        object.__setattr__(self, "_fast", None)

    def label_index(self, label: str) -> int:
        """The number of a label."""
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
        times CALM divides the logits of each choice: 0 gives one greedy completion `count` times.
        Label "any": each completion guesses one from the partial drawing. ValueError
        where an argument is out of range.
        """
        self.check(partial, count, temperature)
        return self.draw(partial[None], [label], count, temperature, seed)

    @torch.inference_mode()
    def guess(self, partial: Tensor) -> dict[str, float]:
        """Label -> probability given the partial drawing, (h, w) ink in [0, 1]; likeliest first."""
        self.check(partial)
        prior = self.fast_copy().prior
        share = prior.context(partial[None, None].to(prior.place)).label[0].float().softmax(-1)
        order = share.argsort(descending=True).tolist()
        return {self.labels[i]: float(share[i]) for i in order}

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
        context = prior.context(partials.to(prior.place)[:, None])
        given = [-1 if label == ANY else self.label_index(label) for label in labels]
        index = torch.tensor(given, device=prior.place.device)
        points = self.sample(
            context, index, count, CALM * temperature, SURE * temperature, seed, LINGER
        )
        return ink_of(points).maximum(partials.float().cpu())

    def sample(
        self,
        context: Context,
        label: Int64[Tensor, " d"],
        count: int,
        temperature: float = 1.0,
        guess_temperature: float = 1.0,
        seed: int = 0,
        linger: float = 0.0,
    ) -> Int64[Tensor, "n p 3"]:
        """Points of `count` completions; a label of -1 is guessed, for each completion anew.

        The temperatures divide the logits as they are, `linger` is taken off that of END.
        """
        prior = self.fast_copy().prior
        sizes = (3, prior.grid**2, prior.size**2)
        noise = gumbel(count, self.config.max_points * sum(sizes) + len(self.labels), seed)
        noise = noise.to(context.label.device)
        guess = (context.label + guess_temperature * noise[:, : len(self.labels)]).argmax(-1)
        label = torch.where(label < 0, guess, label)
        steps = (temperature * noise[:, len(self.labels) :]).unflatten(
            1, (self.config.max_points, -1)
        )
        steps[..., END] -= linger
        return sample(prior, context, label, PointNoise(*steps.split(sizes, -1)))

    def check(self, partial: Tensor, count: int = 1, temperature: float = 1.0) -> None:
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
        if self.training or not has_fast_bfloat16() or next(self.parameters()).device.type != "cpu":
            return self
        if self._fast is None:
            fast = bfloat16_copy(self, [f"prior.{part}" for part in PACKED])
            object.__setattr__(self, "_fast", fast)  # not a submodule: its weights are these
        return self._fast

    def train(self, mode: bool = True) -> "SketchCompleter":
        """As in torch; forgets the fast copy."""
        object.__setattr__(self, "_fast", None)
        return super().train(mode)


def ink_of(points: Int64[Tensor, "n p 3"]) -> Float[Tensor, "n h w"]:
    """What the points draw, by the one rasteriser."""
    drawn = [downsample(draw_strokes(to_strokes(row))) for row in points.cpu().numpy()]
    return to_ink(np.stack(drawn))


MODELS = (SketchCompleter, SketchCVAE)
