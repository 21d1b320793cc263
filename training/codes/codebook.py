"""How a codebook learns: losses, moving averages, new life for codes that nobody uses."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

from models.codes.vqvae import VQVAEOutput


def vq_loss(out: VQVAEOutput, beta: float) -> dict[str, Tensor]:
    """||sg[z_e] - e||^2 and beta ||z_e - sg[e]||^2, mean squares (van den Oord et al., eq. 3)."""
    codebook = F.mse_loss(out.z_q, out.z_e.detach())
    commitment = F.mse_loss(out.z_e, out.z_q.detach())
    return {"codebook": codebook, "commitment": beta * commitment}


def usage_loss(
    z_e: Float[Tensor, "b d h w"], codebook: Float[Tensor, "k d"], softness: float
) -> Tensor:
    """log K less the entropy of the mean soft assignment, in nats: 0 where all codes serve alike.

    As Yu et al. 2024 (MAGVIT-2) ask of theirs; `softness` is in units of the mean square distance.
    """
    places = z_e.permute(0, 2, 3, 1).flatten(0, 2)
    distance = torch.cdist(places, codebook.detach()).square()
    scale = softness * distance.min(1).values.mean().detach().clamp(min=1e-6)
    share = (-distance / scale).softmax(1).mean(0)
    entropy = -(share * share.clamp(min=1e-9).log()).sum()
    return torch.log(torch.tensor(float(len(codebook)))) - entropy


def perplexity(counts: Float[Tensor, " k"]) -> float:
    """exp of the entropy of the codes' shares: as many codes as it were that serve alike."""
    share = counts.double() / counts.sum().clamp(min=1)
    return float((-(share * share.clamp(min=1e-12).log()).sum()).exp())


class CodebookAverage:
    """Each vector the moving average of what falls to it (van den Oord et al., appendix A)."""

    def __init__(self, codebook: Float[Tensor, "k d"], decay: float):
        self.decay = decay
        self.counts = torch.ones(len(codebook), device=codebook.device)
        self.sums = codebook.detach().clone()

    def state_dict(self) -> dict[str, Tensor]:
        """For the resume state."""
        return {"counts": self.counts, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from `state_dict`."""
        self.counts, self.sums = state["counts"].clone(), state["sums"].clone()

    @torch.no_grad()
    def update(
        self,
        codebook: Float[Tensor, "k d"],
        z_e: Float[Tensor, "b d h w"],
        codes: Int64[Tensor, "b h w"],
    ) -> None:
        """Move the counts, the sums, and with them the codebook, in place."""
        places = z_e.detach().permute(0, 2, 3, 1).flatten(0, 2)
        counts = torch.bincount(codes.flatten(), minlength=len(codebook)).to(places)
        sums = torch.zeros_like(codebook).index_add_(0, codes.flatten(), places)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        total = self.counts.sum()
        smooth = (self.counts + 1e-5) / (total + len(codebook) * 1e-5) * total
        codebook.copy_(self.sums / smooth[:, None])

    @torch.no_grad()
    def revive(
        self,
        codebook: Float[Tensor, "k d"],
        z_e: Float[Tensor, "b d h w"],
        least: float,
        generator: torch.Generator,
    ) -> int:
        """Put codes of less than `least` times the mean use where the encoder is; how many."""
        dead = (self.counts < least * self.counts.mean()).nonzero()[:, 0]
        if len(dead):
            places = z_e.detach().permute(0, 2, 3, 1).flatten(0, 2)
            pick = torch.randint(len(places), (len(dead),), generator=generator)
            codebook[dead] = places[pick.to(places.device)]
            self.counts[dead] = self.counts.mean()
            self.sums[dead] = codebook[dead] * self.counts[dead, None]
        return len(dead)
