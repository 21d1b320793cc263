"""The codebook as an exponential moving average, restarts of dead codes, perplexity."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor


def perplexity(counts: Float[Tensor, " k"]) -> float:
    """exp of the entropy of the codes' frequencies: K where all K codes are used alike."""
    p = counts.double() / counts.sum().clamp(min=1)
    return float((-(p * p.clamp(min=1e-12).log()).sum()).exp())


def assignment_sums(
    z_e: Float[Tensor, "b d h w"], codes: Int64[Tensor, "b h w"], num_codes: int
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k d"]]:
    """How many vectors of z_e are assigned to each code, and their sum.

    Both are to be summed over processes before `EMACodebook.update`.
    """
    cells = z_e.detach().permute(0, 2, 3, 1).flatten(0, 2)
    counts = torch.bincount(codes.flatten(), minlength=num_codes).to(cells)
    sums = cells.new_zeros(num_codes, cells.shape[1]).index_add_(0, codes.flatten(), cells)
    return counts, sums


class EMACodebook:
    """Each codebook vector as the moving average of the encoder vectors assigned to it.

    van den Oord et al. 2017, appendix A.1, with Laplace smoothing of the counts.
    """

    def __init__(self, codebook: Float[Tensor, "k d"], decay: float):
        self.decay = decay
        self.counts = torch.ones(len(codebook), device=codebook.device)
        self.sums = codebook.detach().clone()

    def state_dict(self) -> dict[str, Tensor]:
        """For the resume state."""
        return {"counts": self.counts, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from `state_dict`."""
        self.counts.copy_(state["counts"])
        self.sums.copy_(state["sums"])

    @torch.no_grad()
    def update(
        self,
        codebook: Float[Tensor, "k d"],
        counts: Float[Tensor, " k"],
        sums: Float[Tensor, "k d"],
    ) -> None:
        """Average in one batch's `assignment_sums`, and set `codebook` in place."""
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        total = self.counts.sum()
        smoothed = (self.counts + 1e-5) / (total + len(codebook) * 1e-5) * total
        codebook.copy_(self.sums / smoothed[:, None])

    @torch.no_grad()
    def restart_dead_codes(
        self,
        codebook: Float[Tensor, "k d"],
        z_e: Float[Tensor, "b d h w"],
        dead_threshold: float,
        generator: torch.Generator,
    ) -> int:
        """Set codes used less than `dead_threshold` times the mean to random vectors of z_e.

        Returns their number. `z_e` must be the same in all processes.
        """
        dead = (self.counts < dead_threshold * self.counts.mean()).nonzero()[:, 0]
        if len(dead):
            cells = z_e.detach().permute(0, 2, 3, 1).flatten(0, 2)
            pick = torch.randint(len(cells), (len(dead),), generator=generator)
            codebook[dead] = cells[pick.to(cells.device)]
            self.counts[dead] = self.counts.mean()
            self.sums[dead] = codebook[dead] * self.counts[dead, None]
        return len(dead)
