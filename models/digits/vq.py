"""A VQ-VAE of digits and the autoregressive prior over its codes, in one checkpoint."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from models.codes.prior import MASKED, UNCONDITIONAL, CodesPrior, CodesPriorConfig
from models.codes.vqvae import VQVAE, VQVAEConfig
from models.digits.base import CLASSES, SIDE, DigitModel

NAMES = tuple(map(str, range(CLASSES)))


@dataclass(frozen=True)
class VQConfig:
    """Rebuilds both networks; saved beside the weights. The fields are those of their configs."""

    widths: tuple[int, ...] = (32, 64)
    blocks: int = 2
    encoder_kernel_size: int = 1
    num_codes: int = 64
    code_dim: int = 16
    prior_width: int = 128
    prior_heads: int = 4
    prior_layers: int = 4
    guidance_scale: float = 1.5

    @property
    def vqvae(self) -> VQVAEConfig:
        """The codebook's network."""
        return VQVAEConfig(
            image_size=SIDE,
            widths=self.widths,
            blocks=self.blocks,
            encoder_kernel_size=self.encoder_kernel_size,
            num_codes=self.num_codes,
            code_dim=self.code_dim,
            class_names=NAMES,
        )

    @property
    def prior(self) -> CodesPriorConfig:
        """The transformer over the codes."""
        return CodesPriorConfig(
            num_codes=self.num_codes,
            grid_size=self.vqvae.grid_size,
            class_names=NAMES,
            width=self.prior_width,
            heads=self.prior_heads,
            layers=self.prior_layers,
            guidance_scale=self.guidance_scale,
        )


class VQ(DigitModel):
    """Codes of the VQ-VAE, sampled by the prior and decoded (van den Oord et al. 2017)."""

    config_class = VQConfig

    def __init__(self, config: VQConfig | None = None):
        super().__init__()
        self.config = config = config or VQConfig()
        self.vqvae = VQVAE(config.vqvae)
        self.prior = CodesPrior(config.prior)

    @classmethod
    def from_networks(cls, vqvae: VQVAE, prior: CodesPrior) -> "VQ":
        """Both trained networks as one model; ValueError where they do not belong together."""
        a, b = vqvae.config, prior.config
        config = VQConfig(
            a.widths,
            a.blocks,
            a.encoder_kernel_size,
            a.num_codes,
            a.code_dim,
            b.width,
            b.heads,
            b.layers,
            b.guidance_scale,
        )
        if (config.vqvae, config.prior) != (a, b):
            raise ValueError(
                f"these are no codebook of digits and its prior: {a} and {b} must agree in codes, "
                "grid and class names 0 to 9"
            )
        model = cls(config)
        model.vqvae.load_state_dict(vqvae.state_dict())
        model.prior.load_state_dict(prior.state_dict())
        return model.eval()

    def encode(self, images: Tensor) -> Int64[Tensor, "b gh gw"]:
        """Pictures to codes."""
        return self.vqvae.encode(images.to(self.device))

    def decode(self, codes: Tensor) -> Float[Tensor, "b 1 28 28"]:
        """Codes to pictures in [0, 1]."""
        return self.vqvae.decode(codes.to(self.device))

    def _sample(
        self, labels: Int64[Tensor, " n"] | None, count: int, temperature: float | int, seed: int
    ) -> Tensor:
        return self.decode(self.prior.sample_labels(labels, temperature, seed))

    def _reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def _denoise(self, images: Tensor, sigma: float | int, seed: int) -> Tensor:
        """Codes that are probable and near the encoder's vectors, chosen in raster order.

        Each vector is taken as a code's plus Gaussian noise, of the mean squared distance to the
        nearest code; log prior and log likelihood are added.
        """
        z_e = self.vqvae.encode_latents(images.clamp(0, 1)).permute(0, 2, 3, 1).flatten(1, 2)
        distance = torch.cdist(z_e, self.vqvae.codebook).square()
        variance = distance.amin(2, keepdim=True).mean(1, keepdim=True) / z_e.shape[-1]
        evidence = -distance / (2 * variance + 1e-6)
        side = self.vqvae.config.grid_size
        codes = torch.zeros(len(images), side**2, dtype=torch.long, device=self.device)
        no_class = torch.full((len(images),), UNCONDITIONAL, device=self.device)
        for cell in range(side**2):
            logits = self.prior(codes.view(-1, side, side), no_class)[:, cell]
            codes[:, cell] = (logits.log_softmax(1) + evidence[:, cell]).argmax(1)
        return self.decode(codes.view(-1, side, side))

    def _inpaint(self, images: Tensor, hole: Bool[Tensor, "28 28"], seed: int) -> Tensor:
        """Codes of the cells that the hole touches, sampled by the prior given all others."""
        cell = self.vqvae.config.cell_size
        touched = F.max_pool2d(hole[None, None].float(), cell)[0, 0] > 0
        known = self.encode(images).masked_fill(touched, MASKED).cpu()
        filled = [self.prior.sample(1, None, row, seed=seed) for row in known]
        return self.decode(torch.cat(filled))
