"""The REINFORCE stage of the sketch completer: a critic rewards completions that look real.

Strokes are discrete, so the critic's gradient cannot pass through them; its output is a reward
(REINFORCE, Williams 1992; as in SeqGAN, Yu et al. 2017) beside the likelihood of the real strokes.
Completions are sampled at the temperature at which users sample, so that the flaws left there are
the ones that are penalised.
"""

from typing import NamedTuple

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.classifiers import drawing_features
from models.sketch.model import SketchCompleter, rasterize_points
from models.sketch.stroke_prior import PointLogits, expand_context
from models.sketch.tokens import END, Points
from training.sketch.dataset import Batch
from training.sketch.losses import LABEL_WEIGHT, points_nll


class CriticOutput(NamedTuple):
    """Class logits, and log p(real) / p(fake) given the label."""

    label: Float[Tensor, "b k"]
    real: Float[Tensor, " b"]


class SketchCritic(nn.Module):
    """Classifies a finished drawing, and tells real from fake given partial drawing and label.

    One feature extractor for both, as in AC-GAN (Odena et al. 2017); for the second the label
    enters by projection (Miyato and Koyama 2018).
    """

    def __init__(self, labels: int):
        super().__init__()
        self.features, self.class_head = drawing_features(2), nn.Linear(128, labels)
        self.real_head, self.label_embed = nn.Linear(128, 1), nn.Embedding(labels, 128)
        nn.init.normal_(self.label_embed.weight, std=0.02)

    def forward(
        self,
        finished: Float[Tensor, "b h w"],
        partial: Float[Tensor, "b h w"],
        label: Int64[Tensor, " b"],
    ) -> CriticOutput:
        """Logits of ink pictures in [0, 1]."""
        h = self.features(torch.stack([finished, partial], 1)).float()
        real = self.real_head(h)[:, 0] + (h * self.label_embed(label)).sum(1)
        return CriticOutput(self.class_head(h).float(), real.float())


def sample_completions(
    model: SketchCompleter, batch: Batch, count: int, temperature: float, seed: int
) -> Int64[Tensor, "b n p 3"]:
    """`count` completions of each drawing by the current network, given the label."""
    model.eval()
    with torch.inference_mode(), torch.autocast(batch.partial.device.type, enabled=False):
        context = expand_context(model.encode(batch.partial[:, 0]), count)
        label = batch.label.repeat_interleave(count)
        points = model.sample(context, label, len(label), temperature, seed=seed)
    model.train()
    return points.clone().unflatten(0, (-1, count))  # a clone, for autograd refuses inference's


def real_sequences(batch: Batch) -> Int64[Tensor, "b 1 p 3"]:
    """The real missing points."""
    return torch.stack(batch.points, -1)[:, None]


def real_and_fake(
    real: Int64[Tensor, "b 1 p 3"], fake: Int64[Tensor, "b n q 3"]
) -> Int64[Tensor, "b m r 3"]:
    """The real sequence of each drawing, then its completions, padded with END to one length."""
    length = max(int((fake[..., 0] != END).sum(-1).max()) + 1, real.shape[2])
    fake = fake[:, :, :length]
    padding = fake.shape[2] - real.shape[2]
    return torch.cat([F.pad(real, (0, 0, 0, padding), value=END), fake], 1)


def critic_inputs(
    sequences: Int64[Tensor, "b m p 3"], batch: Batch
) -> tuple[Float[Tensor, "bm h w"], Float[Tensor, "bm h w"]]:
    """Finished and partial drawings, `m` rows a drawing."""
    m = sequences.shape[1]
    partial = batch.partial[:, 0].repeat_interleave(m, 0)
    strokes = rasterize_points(sequences.flatten(0, 1))
    finished = strokes.to(partial.device, partial.dtype).maximum(partial)
    return finished, partial


def critic_loss(
    out: CriticOutput, label: Int64[Tensor, " bm"], per_drawing: int
) -> dict[str, Tensor]:
    """Loss of the critic for `per_drawing` rows a drawing, the first of them real; nats.

    Cross-entropy of the class of real drawings and, where there are fake ones, of real against fake
    (Goodfellow et al. 2014).
    """
    class_nll = F.cross_entropy(out.label, label, reduction="none").view(-1, per_drawing)
    if per_drawing == 1:
        return {"loss": class_nll.mean(), "class_nll_real": class_nll.mean()}
    logits = out.real.view(-1, per_drawing)
    real_fake_nll = torch.cat([F.softplus(-logits[:, :1]), F.softplus(logits[:, 1:])], 1)
    adversarial = real_fake_nll[:, :1].mean() + real_fake_nll[:, 1:].mean()
    return {
        "loss": class_nll[:, 0].mean() + adversarial,
        "class_nll_real": class_nll[:, 0].mean(),
        "class_nll_fake": class_nll[:, 1:].mean(),
        "real_fake_nll": real_fake_nll.mean(),
        "logit_gap": -logits.diff(dim=1)[:, 0].mean(),
    }


def average_gradients(module: nn.Module, acc: Accelerator) -> None:
    """The mean of the gradients over all processes, of those parameters that have one.

    DistributedDataParallel does not allow that the critic trains without its real/fake head.
    """
    if acc.num_processes > 1:
        for parameter in module.parameters():
            if parameter.grad is not None:
                parameter.grad = acc.reduce(parameter.grad, "mean")


@torch.no_grad()
def rewards(
    out: CriticOutput, label: Int64[Tensor, " bm"], per_drawing: int
) -> Float[Tensor, "b n"]:
    """log p(label | drawing) + log p(real) / p(fake) of the completions, by the critic."""
    class_nll = F.cross_entropy(out.label, label, reduction="none")
    return (out.real - class_nll).view(-1, per_drawing)[:, 1:]


def advantages(reward: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Reward minus the mean of the drawing's other completions (Kool et al. 2019).

    Divided by their root mean square over the batch where that is above 1.
    """
    baseline = (reward.sum(1, keepdim=True) - reward) / (reward.shape[1] - 1)
    advantage = reward - baseline
    return advantage / advantage.square().mean().sqrt().clamp(min=1.0)


def to_points(sequences: Int64[Tensor, "b m p 3"]) -> Points:
    """All sequences as the rows of one batch."""
    return Points(*sequences.flatten(0, 1).unbind(-1))


def reinforce_loss(
    logits: PointLogits,
    sequences: Int64[Tensor, "b m p 3"],
    label: Int64[Tensor, " bm"],
    advantage: Float[Tensor, "b n"],
    temperature: float,
    weight: float,
) -> dict[str, Tensor]:
    """Likelihood of the real strokes plus `weight` times the policy gradient; nats/drawing.

    `logits` are of all sequences; those of the completions are divided by the `temperature` at
    which they were sampled.
    """
    b, m = sequences.shape[:2]
    temperatures = torch.tensor([1.0] + [temperature] * (m - 1), device=label.device)
    nll = points_nll(logits.with_temperature(temperatures.repeat(b)), to_points(sequences))
    nll = nll.view(b, m)
    label_nll = F.cross_entropy(logits.label, label)
    policy = (advantage * nll[:, 1:]).sum(1).mean()
    likelihood = nll[:, 0].mean()
    loss = likelihood + LABEL_WEIGHT * label_nll + weight * policy
    return {"loss": loss, "points_nll": likelihood, "label_nll": label_nll}
