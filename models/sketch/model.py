"""Sketch completion as a sequence model of strokes.

Two latent variables stand between a partial drawing y and the finished one: the label,
p(label | y), and the missing strokes as a sequence of pen positions, p(strokes | y, label). A small
transformer is the prior of both; strokes are sampled point by point (as in Ha and Eck 2017, there
unconditionally) and rasterised. Completions are therefore as crisp as drawings, and keep the ink of
the partial drawing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from models.bf16 import bfloat16_copy, float32_copy, has_fast_bfloat16
from models.distributions import gumbel
from models.images import downsample, draw_strokes, to_ink
from models.sketch.cvae import SketchCVAE
from models.sketch.sampler import PointNoise, sample
from models.sketch.stroke_prior import Context, PointLogits, StrokePrior
from models.sketch.tokens import ANY, END, Points, SketchConfig, to_strokes

PACKED_LAYERS = ("prior.context_layers", "prior.layers", "prior.output_head")


class LabeledCompletions(NamedTuple):
    """Ink probabilities of the completions, and p(label | partial), the most probable one first."""

    ink: Float[Tensor, "n h w"]
    label_probabilities: dict[str, float]


class SketchCompleter(nn.Module):
    """Completes partial drawings: an autoregressive stroke prior and a rasteriser."""

    config_class = SketchConfig

    def __init__(self, config: SketchConfig):
        super().__init__()
        self.config, self.labels = config, tuple(config.labels)
        self.prior = StrokePrior(config)
        object.__setattr__(self, "_inference_copy", None)

    def forward(
        self, points: Points, partial: Float[Tensor, "d 1 h w"], label: Int64[Tensor, " b"]
    ) -> PointLogits:
        """Training pass: logits of the label and of the missing points, teacher-forced."""
        return self.prior(points, partial, label)

    def label_index(self, label: str) -> int:
        """Index of a label; ValueError for an unknown one."""
        if label not in self.labels:
            raise ValueError(f"unknown label {label!r}: choose 'any' or {', '.join(self.labels)}")
        return self.labels.index(label)

    def complete(
        self,
        partial: Tensor,
        label: str = ANY,
        count: int = 16,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n h w"]:
        """`count` ink probabilities in [0, 1], nowhere less than `partial`, (h, w) ink in [0, 1].

        The same seed gives the same pictures, the first ones whatever `count` is. Each choice is
        sampled from its logits divided by `temperature` times the config's `logit_temperature`
        (`label_temperature` for the label): 0 gives one greedy completion `count` times. With the
        label "any", each completion samples one given the partial drawing. ValueError where an
        argument is out of range.
        """
        return self.complete_with_labels(partial, label, count, temperature, seed).ink

    @torch.inference_mode()
    def complete_with_labels(
        self,
        partial: Tensor,
        label: str = ANY,
        count: int = 16,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> LabeledCompletions:
        """`complete` and `predict_label` with one pass of the encoder."""
        self.validate_inputs(partial, count, temperature)
        context = self.encode(partial[None])
        ink = self._complete(context, partial[None], [label], count, temperature, seed)
        return LabeledCompletions(ink, self._label_probabilities(context))

    @torch.inference_mode()
    def predict_label(self, partial: Tensor) -> dict[str, float]:
        """Label -> p(label | partial), (h, w) ink in [0, 1]; the most probable label first."""
        self.validate_inputs(partial)
        return self._label_probabilities(self.encode(partial[None]))

    def _label_probabilities(self, context: Context) -> dict[str, float]:
        probabilities = context.label[0].float().softmax(-1)
        order = probabilities.argsort(descending=True).tolist()
        return {self.labels[i]: float(probabilities[i]) for i in order}

    @torch.inference_mode()
    def complete_batch(
        self,
        partials: Float[Tensor, "d h w"],
        labels: Sequence[str],
        count: int,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n h w"]:
        """`count` completions: all of one partial drawing, or one of each of `count` drawings."""
        context = self.encode(partials)
        return self._complete(context, partials, labels, count, temperature, seed)

    def encode(self, partials: Float[Tensor, "d h w"]) -> Context:
        """The encoder of the network that samples."""
        return self.inference_copy().prior.encode(partials[:, None])

    def _complete(
        self,
        context: Context,
        partials: Float[Tensor, "d h w"],
        labels: Sequence[str],
        count: int,
        temperature: float,
        seed: int,
    ) -> Float[Tensor, "n h w"]:
        """`complete_batch` from the encoded drawings."""
        index = [-1 if label == ANY else self.label_index(label) for label in labels]
        points = self.sample(
            context,
            torch.tensor(index, device=context.label.device),
            count,
            self.config.logit_temperature * temperature,
            self.config.label_temperature * temperature,
            seed,
            self.config.end_logit_penalty,
        )
        return rasterize_points(points).maximum(partials.float().cpu())

    def sample(
        self,
        context: Context,
        label: Int64[Tensor, " d"],
        count: int,
        temperature: float = 1.0,
        label_temperature: float = 1.0,
        seed: int = 0,
        end_logit_penalty: float = 0.0,
    ) -> Int64[Tensor, "n p 3"]:
        """Points of `count` completions; a label of -1 is sampled, for each completion anew.

        The temperatures divide the network's logits, without the config's factors.
        """
        prior = self.inference_copy().prior
        sizes = (3, prior.grid_size**2, prior.cell_size**2)
        noise = gumbel(count, self.config.max_points * sum(sizes) + len(self.labels), seed)
        noise = noise.to(context.label.device)
        sampled = (context.label + label_temperature * noise[:, : len(self.labels)]).argmax(-1)
        label = torch.where(label < 0, sampled, label)
        steps = (temperature * noise[:, len(self.labels) :]).unflatten(
            1, (self.config.max_points, -1)
        )
        steps[..., END] -= end_logit_penalty
        return sample(prior, context, label, PointNoise(*steps.split(sizes, -1)))

    def validate_inputs(self, partial: Tensor, count: int = 1, temperature: float = 1.0) -> None:
        """ValueError, in one sentence, for what `complete` does not accept."""
        size = self.config.image_size
        if tuple(partial.shape) != (size, size):
            raise ValueError(f"partial must be ({size}, {size}), ink in [0, 1]: {partial.shape}")
        if not partial.is_floating_point() or not ((partial >= 0) & (partial <= 1)).all():
            raise ValueError("partial must hold ink in [0, 1] as floats, no NaN")
        if not 1 <= count <= 256:
            raise ValueError(f"count must be 1 to 256: {count}")
        if not 0 <= temperature <= 10:
            raise ValueError(f"temperature must be 0 to 10: {temperature}")

    def inference_copy(self) -> "SketchCompleter":
        """On a CPU a copy with weights laid out for sampling, in bfloat16 where that is fast.

        Made once, and dropped when the network returns to training. Elsewhere, this network.
        """
        if self.training or self.prior.device.type != "cpu":
            return self
        if self._inference_copy is None:
            make_copy = bfloat16_copy if has_fast_bfloat16() else float32_copy
            copy = make_copy(self, PACKED_LAYERS)
            object.__setattr__(self, "_inference_copy", copy)  # no submodule: it has no own weights
        return self._inference_copy

    def train(self, mode: bool = True) -> "SketchCompleter":
        """As in torch; drops the inference copy."""
        object.__setattr__(self, "_inference_copy", None)
        return super().train(mode)


def rasterize_points(points: Int64[Tensor, "n p 3"]) -> Float[Tensor, "n h w"]:
    """Ink in [0, 1] of each point sequence's strokes."""
    pictures = []
    for row in points.cpu().numpy():
        strokes = [stroke.tolist() for stroke in to_strokes(row)]  # Pillow is slower with arrays
        pictures.append(downsample(draw_strokes(strokes)))
    return to_ink(np.stack(pictures))


MODELS = (SketchCompleter, SketchCVAE)
