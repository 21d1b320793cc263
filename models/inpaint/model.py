"""Face inpainting: a conditional VAE that fills holes, given what is around them and two wishes.

p(fill | face with a hole) is an integral over z ~ p(z | face with a hole, attributes); the decoder
keeps the surroundings at every resolution, down to the single pixel, beside what it makes of z.
Its core works at half the picture's size, in a quarter of the time; `DetailNet` adds what is finer.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import (
    FilmBlock,
    ResBlock,
    TransformerBlock,
    init_convolutions,
    spatial_attention,
)
from models.distributions import DiagonalGaussian
from models.inpaint.attributes import (
    FIRMLY,
    OFF,
    ON,
    UNKNOWN,
    Reader,
    bare,
    check,
    keeping,
    seeded_noise,
    unasked,
)
from models.inpaint.cvae import FaceCVAE
from models.inpaint.glasses import GlassesFinder, to_go
from models.inpaint.refiner import DetailNet, FaceContext, halved, pixels_of

PATCH = 4  # px at half size, the side of what a place of the core's finest map sees first


@dataclass(frozen=True)
class InpaintConfig:
    """Rebuilds the network; saved beside the weights."""

    image_size: int = 128
    attributes: tuple[str, ...] = ("Smiling", "Eyeglasses", "Male", "Young")
    widths: tuple[int, int, int] = (64, 128, 192)
    """Channels at 1/8, 1/16 and 1/32 of the picture's size."""
    detail: int = 48
    """Channels at 1/4 of it."""
    tail: int = 16
    """Channels at its full size."""
    latent_dim: int = 64
    condition: int = 256
    heads: int = 4

    def __post_init__(self):
        if self.image_size % 32 or self.image_size < 64:
            raise ValueError(f"image_size must be a multiple of 32, at least 64: {self.image_size}")


class InpaintOutput(NamedTuple):
    """Logits of every pixel of the face, q(z | whole face), p(z | face with a hole, attributes)."""

    logits: Float[Tensor, "b 3 h w"]
    posterior: DiagonalGaussian
    prior: DiagonalGaussian


class Inpainter(nn.Module):
    """What ships. Convolutions and attention only: a network for any size that 32 divides."""

    config_class = InpaintConfig

    def __init__(self, config: InpaintConfig | None = None):
        super().__init__()
        self.config = config = config or InpaintConfig()
        fine, middle, coarse = config.widths
        z, c = config.latent_dim, config.condition
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(PATCH), nn.Conv2d(6 * PATCH**2, fine, 1), ResBlock(fine)
        )
        self.down1 = nn.Sequential(nn.Conv2d(fine, middle, 3, 2, 1), ResBlock(middle))
        self.down2 = nn.Sequential(nn.Conv2d(middle, coarse, 3, 2, 1), ResBlock(coarse))
        self.look = TransformerBlock(coarse, config.heads)

        self.wish = nn.Linear(3 * len(config.attributes), c, bias=False)
        self.prior_mlp = nn.Sequential(nn.Linear(coarse + c, c), nn.SiLU(), nn.Linear(c, 2 * z))
        self.posterior_net = nn.Sequential(
            nn.PixelUnshuffle(PATCH),
            nn.Conv2d(4 * PATCH**2, fine, 1),
            ResBlock(fine),
            nn.Conv2d(fine, middle, 3, 2, 1),
            ResBlock(middle),
            nn.Conv2d(middle, coarse, 3, 2, 1),
            nn.SiLU(),
        )
        self.posterior_head = nn.Linear(coarse, 2 * z)
        self.reader = Reader(coarse, len(config.attributes))

        self.condition = nn.Sequential(nn.Linear(z + c, c), nn.SiLU())
        self.blocks3 = nn.ModuleList(FilmBlock(coarse, c) for _ in range(2))
        self.think = TransformerBlock(coarse, config.heads)
        self.up2 = nn.Conv2d(coarse, 4 * middle, 1)
        self.blocks2 = nn.ModuleList(FilmBlock(middle, c) for _ in range(2))
        self.up1 = nn.Conv2d(middle, 4 * fine, 1)
        self.blocks1 = nn.ModuleList(FilmBlock(fine, c) for _ in range(2))
        self.up0 = nn.Conv2d(fine, config.tail * PATCH**2, 1)
        self.tail = nn.Sequential(
            nn.Conv2d(config.tail + 6, config.tail, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(config.tail, 3, 3, padding=1),
        )
        init_convolutions(self)
        self.detail = DetailNet(config.detail, fine, c, config.tail)
        self.finder = GlassesFinder()

    def context(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> FaceContext:
        """Read the face; what is under the hole (mask 1) makes no difference."""
        full = self.detail.context(pixels_of(image, mask))
        pixels = pixels_of(*halved(image, mask))
        fine = self.stem(pixels) + self.detail.down(full.features)
        middle = self.down1(fine)
        coarse = spatial_attention(self.look, self.down2(middle))
        return FaceContext(full, pixels, fine, middle, coarse)

    def wishes(self, attributes: Int64[Tensor, "b k"]) -> Float[Tensor, "b c"]:
        """Attributes, each OFF, ON or UNKNOWN, as a vector."""
        return self.wish(F.one_hot(attributes, 3).flatten(1).to(self.wish.weight))

    def prior(self, context: FaceContext, wishes: Float[Tensor, "b c"]) -> DiagonalGaussian:
        """p(z | face with a hole, attributes), in float32."""
        pooled = torch.cat([context.coarse.mean((2, 3)), wishes], 1)
        mu, logvar = self.prior_mlp(pooled).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-8, 4))

    def whole(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c3 h32 w32"]:
        """Features of the whole face; the network knows where the hole is, and sees beneath."""
        image, mask = halved(image, mask)
        return self.posterior_net(torch.cat([image - 0.5, mask], 1))

    def encode(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> DiagonalGaussian:
        """q(z | whole face, where the hole is), in float32."""
        h = self.whole(image, mask).mean((2, 3))
        mu, logvar = self.posterior_head(h).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-8, 4))

    def read(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b k"]:
        """Logits of the attributes that the whole face shows."""
        return self.reader(self.whole(image, mask))

    def decode(
        self, z: Float[Tensor, "b z"], context: FaceContext, wishes: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b 3 h w"]:
        """Logits of the face; only those in the hole matter."""
        c = self.condition(torch.cat([z.to(wishes), wishes], 1))
        h = context.coarse
        for block in self.blocks3:
            h = block(h, c)
        h = spatial_attention(self.think, h)
        h = F.pixel_shuffle(self.up2(h), 2) + context.middle
        for block in self.blocks2:
            h = block(h, c)
        h = F.pixel_shuffle(self.up1(h), 2) + context.fine
        for block in self.blocks1:
            h = block(h, c)
        half = F.pixel_shuffle(self.up0(F.silu(h)), PATCH)
        half = self.tail(torch.cat([half, context.pixels.to(half)], 1))
        return self.detail(half, h, context.full, c)

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        attributes: Int64[Tensor, "b k"],
        noise: Float[Tensor, "b z"] | None = None,
        free: int = 0,
    ) -> InpaintOutput:
        """Training pass: z from the posterior, for the last `free` faces from the prior."""
        context, wishes = self.context(image, mask), self.wishes(attributes)
        posterior, prior = self.encode(image, mask), self.prior(context, wishes)
        kept = len(image) - free
        z = posterior.sample(noise)
        if free:
            z = torch.cat([z[:kept], prior.sample(noise)[kept:]])
        return InpaintOutput(self.decode(z, context, wishes), posterior, prior)

    @torch.inference_mode()
    def inpaint(
        self,
        image: Tensor,
        mask: Tensor,
        smile: bool | None = None,
        glasses: bool | None = None,
        count: int = 4,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Float[Tensor, "n 3 h w"]:
        """`count` fills of the hole in [0, 1]; elsewhere they are `image`, bit for bit.

        `image` is (3, h, w) in [0, 1] and `mask` (h, w), 1 in the hole, 0 elsewhere, both of
        `config.image_size`. The same seed gives the same fills, the first ones whatever `count`
        is; `temperature` multiplies the standard deviation of z. A wish of None leaves it to the
        model. Where `glasses` is False, what is under the hole counts after all: only the glasses
        go, if there are any, and what else is open stays as `image` shows it, so that nobody gets
        younger by it. ValueError where an argument is out of range.
        """
        check(image, mask, self.config.image_size, count, temperature)
        wish = [UNKNOWN if w is None else ON if w else OFF for w in (smile, glasses)]
        wish += [UNKNOWN] * (len(self.config.attributes) - len(wish))
        noise = seeded_noise(count, self.config.latent_dim, seed)
        return self.fill(
            image[None], mask[None, None].float(), torch.tensor([wish]), noise, temperature
        )

    @torch.inference_mode()
    def hole(
        self, image: Float[Tensor, "3 h w"], mask: Float[Tensor, "h w"], glasses: bool | None
    ) -> Float[Tensor, "h w"]:
        """The part of the hole (1 in it) that `inpaint` fills: all, or only the glasses."""
        return to_go(self.finder(image[None]), mask[None, None])[0, 0] if glasses is False else mask

    @torch.inference_mode()
    def fill(
        self,
        image: Float[Tensor, "d 3 h w"],
        mask: Float[Tensor, "d 1 h w"],
        attributes: Int64[Tensor, "d k"],
        noise: Float[Tensor, "n z"],
        temperature: float = 1.0,
    ) -> Float[Tensor, "n 3 h w"]:
        """One fill for each row of noise: all of one face, or one of each."""
        names = self.config.attributes
        going, none = bare(attributes, names), self.wishes(unasked(attributes, names))
        if going.any():
            attributes = keeping(attributes, names, self.read(image, mask))
            mask = torch.where(going[:, None, None, None], to_go(self.finder(image), mask), mask)
        context = self.context(image, mask)
        wishes = torch.lerp(none, self.wishes(attributes), FIRMLY)
        z = self.prior(context, wishes).sample(noise.to(image.device), temperature)
        logits = self.decode(z, context.shared(len(z)), wishes.expand(len(z), -1))
        return torch.where(mask > 0.5, logits.sigmoid(), image)


MODELS = (Inpainter, FaceCVAE)
