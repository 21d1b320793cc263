"""The last phase of the sketch completer: a critic says which completions look real.

The strokes are discrete, so its word comes back as a reward (REINFORCE, Williams 1992; SeqGAN,
Yu et al. 2017), beside the likelihood of the true strokes, which goes on. What it is shown is drawn
at the temperature at which visitors are, so that it mends the faults that are left there.
"""

from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.classifiers import drawing_features
from models.sketch.model import SketchCompleter, ink_of
from models.sketch.stroke_prior import repeated
from models.sketch.tokens import END, Points
from training.sketch import losses
from training.sketch.dataset import Batch


class CriticOutput(NamedTuple):
    """Class logits, and log p(real) / p(drawn by the completer) given the label."""

    label: Float[Tensor, "b k"]
    real: Float[Tensor, " b"]


class SketchCritic(nn.Module):
    """What a finished picture shows, and whether it is real, given the part and the label.

    One body for both, as in AC-GAN (Odena et al. 2017); for the second the label enters by
    projection (Miyato and Koyama 2018).
    """

    def __init__(self, labels: int):
        super().__init__()
        self.body, self.shows = drawing_features(2), nn.Linear(128, labels)
        self.real, self.label = nn.Linear(128, 1), nn.Embedding(labels, 128)
        nn.init.normal_(self.label.weight, std=0.02)

    def forward(
        self,
        finished: Float[Tensor, "b h w"],
        partial: Float[Tensor, "b h w"],
        label: Int64[Tensor, " b"],
    ) -> CriticOutput:
        """Logits."""
        h = self.body(torch.stack([finished, partial], 1)).float()
        real = self.real(h)[:, 0] + (h * self.label(label)).sum(1)
        return CriticOutput(self.shows(h).float(), real.float())


class Adversary:
    """The critic with its optimizer, and the loss that it gives the completer."""

    def __init__(
        self,
        model: SketchCompleter,
        acc: Accelerator,
        samples: int,
        temperature: float,
        seed: int,
    ):
        if samples < 2:
            raise ValueError(
                f"the critic compares completions: 2 or more of a drawing, not {samples}"
            )
        self.model, self.samples, self.seed, self.acc = model, samples, seed, acc
        self.temperature = temperature
        critic = SketchCritic(len(model.labels)).to(acc.device, memory_format=torch.channels_last)
        self.critic = acc.prepare(critic)
        self.optimizer = torch.optim.AdamW(
            critic.parameters(), 1e-3, (0.9, 0.99), weight_decay=0.05, fused=True
        )

    def state_dict(self) -> dict[str, Any]:
        """For the resume state."""
        critic = self.acc.unwrap_model(self.critic)
        return {"critic": critic.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.acc.unwrap_model(self.critic).load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])

    def loss(self, network: nn.Module, batch: Batch, step: int, weight: float) -> dict[str, Tensor]:
        """Train the critic once; likelihood plus `weight` times policy gradient, nats/drawing.

        A completion's advantage is its reward less the mean of the others of the same drawing
        (Kool et al. 2019).
        """
        b, n = len(batch.label), self.samples
        drawn = self.draw(batch, step)  # b n p 3
        true = torch.stack(batch.points, -1)[:, None]  # b 1 p 3
        length = max(int((drawn[..., 0] != END).sum(-1).max()) + 1, true.shape[2])
        drawn = drawn[:, :, :length]
        padding = drawn.shape[2] - true.shape[2]
        points = torch.cat([F.pad(true, (0, 0, 0, padding), value=END), drawn], 1)  # b 1+n p 3
        reward, terms = self.reward(points, batch)
        others = (reward.sum(1, keepdim=True) - reward) / (n - 1)
        advantage = reward - others
        advantage = advantage / advantage.square().mean().sqrt().clamp(min=1.0)

        columns = Points(*points.flatten(0, 1).unbind(-1))
        label = batch.label.repeat_interleave(1 + n)
        logits = network(columns, batch.partial, label)
        heat = torch.tensor([1.0] + [self.temperature] * n, device=label.device)
        nll = losses.points_nll(logits.divided(heat.repeat(b)), columns).view(b, 1 + n)
        label_nll = F.cross_entropy(logits.label, label)
        policy = (advantage * nll[:, 1:]).sum(1).mean()
        loss = nll[:, 0].mean() + losses.LABEL_WEIGHT * label_nll + weight * policy
        return {"loss": loss, "points_nll": nll[:, 0].mean(), "label_nll": label_nll} | terms

    def draw(self, batch: Batch, step: int) -> Int64[Tensor, "b n p 3"]:
        """Completions by the network as it is."""
        self.model.eval()
        with torch.inference_mode(), torch.autocast(batch.partial.device.type, enabled=False):
            prior = self.model.fast_copy().prior
            context = repeated(prior.context(batch.partial.to(prior.place)), self.samples)
            label = batch.label.repeat_interleave(self.samples)
            seed = (self.seed * 1_000_003 + step) * 64 + self.acc.process_index
            drawn = self.model.sample(context, label, len(label), self.temperature, seed=seed)
        self.model.train()
        return drawn.clone().unflatten(0, (-1, self.samples))

    def learn(self, batch: Batch) -> dict[str, Tensor]:
        """Train the critic alone, on what real pictures show."""
        real = torch.stack(batch.points, -1)[:, None]
        return self.reward(real, batch)[1]

    def reward(
        self, points: Int64[Tensor, "b m p 3"], batch: Batch
    ) -> tuple[Float[Tensor, "b n"], dict[str, Tensor]]:
        """Reward of the completions after the first, which is real; trains the critic on them.

        log p(label | picture), as far as the critic knows, and log p(real) / p(drawn).
        """
        b, m = points.shape[:2]
        partial = batch.partial[:, 0].repeat_interleave(m, 0)
        finished = ink_of(points.flatten(0, 1)).to(partial).maximum(partial)
        label = batch.label.repeat_interleave(m)
        with self.acc.autocast():
            out = self.critic(finished, partial, label)
        shows = F.cross_entropy(out.label, label, reduction="none").view(b, m)
        logits = out.real.view(b, m)
        told = torch.cat([F.softplus(-logits[:, :1]), F.softplus(logits[:, 1:])], 1)
        loss = shows[:, 0].mean() + sum(part.mean() for part in (told[:, :1], told[:, 1:]) if m > 1)
        self.optimizer.zero_grad(set_to_none=True)
        self.acc.backward(loss)
        self.acc.clip_grad_norm_(self.acc.unwrap_model(self.critic).parameters(), 5.0)
        self.optimizer.step()
        reward, shows = logits.detach() - shows.detach(), shows.detach()
        terms = {"shows_real": shows[:, 0].mean(), "told": told.detach().mean()}
        if m > 1:
            terms |= {"shows_drawn": shows[:, 1:].mean(), "gap": -logits.diff(dim=1)[:, 0].mean()}
        return reward[:, 1:], {name: term.detach() for name, term in terms.items()}
