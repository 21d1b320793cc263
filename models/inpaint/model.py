"""Face inpainting: a conditional VAE that fills a hole, given its surroundings and attributes.

p(fill | masked face, attributes) = E[p(fill | z, masked face, attributes)] over the learned prior
z ~ p(z | masked face, attributes) (Sohn et al. 2015; Zheng et al. 2019). The decoder has skip
connections from the masked face at every resolution. The core network works at half the picture's
size, which takes a quarter of the time; `Refiner` adds the full resolution.
"""

from collections.abc import Sequence
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
    init_as_nearest,
    init_convolutions,
    spatial_attention,
)
from models.distributions import DiagonalGaussian
from models.inpaint.attributes import (
    GLASSES,
    OFF,
    ON,
    UNKNOWN,
    AttributeHead,
    fill_from_photo,
    null_attributes,
    removes_glasses,
    seeded_noise,
    validate_inputs,
)
from models.inpaint.cvae import FaceCVAE
from models.inpaint.glasses import GlassesSegmenter, glasses_mask
from models.inpaint.membrane import attach
from models.inpaint.refiner import FaceContext, Refiner, downsample2, input_features

PATCH = 4  # px at half size, side of the patches that the stem embeds


@dataclass(frozen=True)
class InpaintConfig:
    """Rebuilds the network; saved beside the weights."""

    image_size: int = 128
    attributes: tuple[str, ...] = ("Smiling", "Eyeglasses", "Male", "Young")
    channels: tuple[int, int, int] = (64, 128, 192)
    """At 1/8, 1/16 and 1/32 of the picture's size."""
    refiner_channels: int = 56
    """At 1/4 of it."""
    head_channels: int = 24
    """At its half and full size."""
    latent_dim: int = 64
    cond_dim: int = 256
    """Width of the conditioning vector (attributes and z)."""
    heads: int = 4
    """Attention heads."""
    attribute_scale: float = 0.8
    """Scale of attribute conditioning in sampling: 1 is as in training, 0 ignores the attributes.

    At 1, small holes in faces that contradict the attribute come out as grimaces.
    """
    shuffled_head: bool = False
    """Whether half size is reached by one shuffle of 4x4 px, which leaves a faint grid, instead of
    by two resized convolutions."""

    def __post_init__(self):
        if self.image_size % 32 or self.image_size < 64:
            raise ValueError(f"image_size must be a multiple of 32, at least 64: {self.image_size}")


class InpaintOutput(NamedTuple):
    """Logits of the whole face, q(z | face, mask), and p(z | masked face, attributes).

    The logits have half the picture's size if that was asked for.
    """

    logits: Float[Tensor, "b 3 y x"]
    posterior: DiagonalGaussian
    prior: DiagonalGaussian


class InpaintSample(NamedTuple):
    """Filled faces in [0, 1], and the effective mask: 1 where they may differ from the input."""

    faces: Float[Tensor, "*n 3 h w"]
    mask: Float[Tensor, "*m h w"]


class Inpainter(nn.Module):
    """Inpainting CVAE of convolutions and attention, for any size that is a multiple of 32."""

    config_class = InpaintConfig

    def __init__(self, config: InpaintConfig | None = None):
        super().__init__()
        self.config = config = config or InpaintConfig()
        fine, middle, coarse = config.channels
        z, c, head = config.latent_dim, config.cond_dim, config.head_channels
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(PATCH), nn.Conv2d(6 * PATCH**2, fine, 1), ResBlock(fine)
        )
        self.down1 = nn.Sequential(nn.Conv2d(fine, middle, 3, 2, 1), ResBlock(middle))
        self.down2 = nn.Sequential(nn.Conv2d(middle, coarse, 3, 2, 1), ResBlock(coarse))
        self.encoder_attn = TransformerBlock(coarse, config.heads)

        self.attr_embed = nn.Linear(3 * len(config.attributes), c, bias=False)
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
        self.attribute_head = AttributeHead(coarse, len(config.attributes))

        self.cond_proj = nn.Sequential(nn.Linear(z + c, c), nn.SiLU())
        self.blocks3 = nn.ModuleList(FilmBlock(coarse, c) for _ in range(2))
        self.bottleneck_attn = TransformerBlock(coarse, config.heads)
        self.up2 = nn.Conv2d(coarse, 4 * middle, 1)
        self.blocks2 = nn.ModuleList(FilmBlock(middle, c) for _ in range(2))
        self.up1 = nn.Conv2d(middle, 4 * fine, 1)
        self.blocks1 = nn.ModuleList(FilmBlock(fine, c) for _ in range(2))
        self.up0 = nn.Conv2d(fine, head * PATCH**2, 1) if config.shuffled_head else nn.Sequential(
            nn.SiLU(), _resize(), nn.Conv2d(fine, 2 * head, 3, padding=1),
            nn.SiLU(), _resize(), nn.Conv2d(2 * head, head, 3, padding=1), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Sequential(
            nn.Conv2d(head + 6, head, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(head, 3, 3, padding=1),
        )
        init_convolutions(self)
        for shuffled in (self.up1, self.up2):
            init_as_nearest(shuffled)
        self.refiner = Refiner(config.refiner_channels, fine, c, head)
        self.glasses_segmenter = GlassesSegmenter()

    def context(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> FaceContext:
        """Encode the masked face; pixels in the hole (mask 1) have no influence."""
        full = self.refiner.encode(input_features(image, mask))
        half = input_features(*downsample2(image, mask))
        fine = self.stem(half) + self.refiner.down(full.features)
        middle = self.down1(fine)
        coarse = spatial_attention(self.encoder_attn, self.down2(middle))
        return FaceContext(full, half, fine, middle, coarse)

    def embed_attributes(self, attributes: Int64[Tensor, "b k"]) -> Float[Tensor, "b c"]:
        """Embedding of attributes, each OFF, ON or UNKNOWN."""
        one_hot = F.one_hot(attributes, 3).flatten(1)
        return self.attr_embed(one_hot.to(self.attr_embed.weight))

    def prior(self, context: FaceContext, attr: Float[Tensor, "b c"]) -> DiagonalGaussian:
        """p(z | masked face, attributes), in float32; `attr` is the attributes' embedding."""
        pooled = torch.cat([context.coarse.mean((2, 3)), attr], 1)
        mu, logvar = self.prior_mlp(pooled).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-8, 4))

    def posterior_features(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b c3 h32 w32"]:
        """Features of the whole face, hidden pixels included, and of the mask."""
        image, mask = downsample2(image, mask)
        return self.posterior_net(torch.cat([image - 0.5, mask], 1))

    def encode(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> DiagonalGaussian:
        """q(z | whole face, mask), in float32."""
        h = self.posterior_features(image, mask).mean((2, 3))
        mu, logvar = self.posterior_head(h).float().chunk(2, 1)
        return DiagonalGaussian(mu, logvar.clamp(-8, 4))

    def predict_attributes(
        self, image: Float[Tensor, "b 3 h w"], mask: Float[Tensor, "b 1 h w"]
    ) -> Float[Tensor, "b k"]:
        """Logits of the attributes that the whole face shows, hidden pixels included."""
        return self.attribute_head(self.posterior_features(image, mask))

    def decode(
        self,
        z: Float[Tensor, "b z"],
        context: FaceContext,
        attr: Float[Tensor, "b c"],
        half_size: bool = False,
    ) -> Float[Tensor, "b 3 y x"]:
        """Logits of the whole face, of half its size without the refiner.

        Only those in the hole are trained.
        """
        cond = self.cond_proj(torch.cat([z.to(attr), attr], 1))
        h = context.coarse
        for block in self.blocks3:
            h = block(h, cond)
        h = spatial_attention(self.bottleneck_attn, h)
        h = F.pixel_shuffle(self.up2(h), 2) + context.middle
        for block in self.blocks2:
            h = block(h, cond)
        h = F.pixel_shuffle(self.up1(h), 2) + context.fine
        for block in self.blocks1:
            h = block(h, cond)
        if self.config.shuffled_head:
            half = F.pixel_shuffle(self.up0(F.silu(h)), PATCH)
        else:
            half = self.up0(h)
        half = self.head(torch.cat([half, context.half.to(half)], 1))
        if half_size:
            return half
        return self.refiner(half, h, context.full, cond)

    def forward(
        self,
        image: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        attributes: Int64[Tensor, "b k"],
        noise: Float[Tensor, "b z"] | None = None,
        n_prior: int = 0,
        half_size: bool = False,
    ) -> InpaintOutput:
        """Training pass: z from the posterior, for the last `n_prior` faces from the prior."""
        context, attr = self.context(image, mask), self.embed_attributes(attributes)
        posterior, prior = self.encode(image, mask), self.prior(context, attr)
        n_posterior = len(image) - n_prior
        z = posterior.sample(noise)
        if n_prior:
            z = torch.cat([z[:n_posterior], prior.sample(noise)[n_posterior:]])
        return InpaintOutput(self.decode(z, context, attr, half_size), posterior, prior)

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
        """`count` faces in [0, 1] with the hole filled; elsewhere they are `image`, bit for bit.

        `image` is (3, h, w) in [0, 1] and `mask` (h, w), 1 in the hole, 0 elsewhere, both of
        `config.image_size`. `smile` and `glasses` ask for an attribute (True), for its absence
        (False), or leave it to the model (None); the other attributes are left to it too. The same
        seed gives the same fills, the first ones whatever `count` is; `temperature` multiplies the
        standard deviation of z.

        With `glasses=False` the hidden pixels matter: only the glasses that are found in the hole
        are replaced, if there are any, and the unknown ones of the attributes Male, Young and
        Smiling become those that the model sees in `image`. ValueError where an argument is out of
        range.
        """
        sample = self.inpaint_each(image, mask, (smile,), glasses, count, temperature, seed)
        return sample.faces[0]

    @torch.inference_mode()
    def inpaint_each(
        self,
        image: Tensor,
        mask: Tensor,
        smiles: Sequence[bool | None],
        glasses: bool | None = None,
        count: int = 4,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> InpaintSample:
        """`inpaint` for each of `smiles` (r of them), all from the same noise.

        Returns the faces (r, count, 3, h, w) and the effective mask (h, w). The face is encoded and
        its glasses are segmented once.
        """
        validate_inputs(image, mask, self.config.image_size, count, temperature)
        state, names = {None: UNKNOWN, False: OFF, True: ON}, self.config.attributes
        asked = [{"Smiling": state[smile], GLASSES: state[glasses]} for smile in smiles]
        rows = [[row.get(name, UNKNOWN) for name in names] for row in asked]
        attributes = torch.tensor(rows, device=image.device)
        noise = seeded_noise(count, self.config.latent_dim, seed).to(image.device)
        image, mask = image[None], mask[None, None].float()
        if glasses is False:
            logits = self.predict_attributes(image, mask).expand(len(smiles), -1)
            attributes = fill_from_photo(attributes, names, logits)
        mask = self.effective_mask(image, mask, attributes[:1])
        context = self.context(image, mask)
        faces = [
            self._fill(image, mask, context, row[None], noise, temperature) for row in attributes
        ]
        return InpaintSample(torch.stack(faces), mask[0, 0])

    @torch.inference_mode()
    def sample(
        self,
        image: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        attributes: Int64[Tensor, "b k"],
        noise: Float[Tensor, "b z"],
        temperature: float = 1.0,
    ) -> Float[Tensor, "b 3 h w"]:
        """One filled face for each row of a batch, with its own attributes and noise."""
        names = self.config.attributes
        if removes_glasses(attributes, names).any():
            logits = self.predict_attributes(image, mask)
            attributes = fill_from_photo(attributes, names, logits)
        mask = self.effective_mask(image, mask, attributes)
        context = self.context(image, mask)
        return self._fill(image, mask, context, attributes, noise, temperature)

    @torch.inference_mode()
    def effective_mask(
        self,
        image: Float[Tensor, "b 3 h w"],
        mask: Float[Tensor, "b 1 h w"],
        attributes: Int64[Tensor, "b k"],
    ) -> Float[Tensor, "b 1 h w"]:
        """The part of the mask that is filled: all, or where glasses are removed, only these."""
        rows = removes_glasses(attributes, self.config.attributes)[:, None, None, None]
        if not rows.any():
            return mask
        return torch.where(rows, glasses_mask(self.glasses_segmenter(image), mask), mask)

    def _fill(
        self,
        image: Float[Tensor, "d 3 h w"],
        mask: Float[Tensor, "d 1 h w"],
        context: FaceContext,
        attributes: Int64[Tensor, "d k"],
        noise: Float[Tensor, "n z"],
        temperature: float,
    ) -> Float[Tensor, "n 3 h w"]:
        """Decode one z per row of noise, all of one face (d = 1) or each of its own (d = n).

        The decoder's colours are right up to a membrane, which makes the fill meet its border.
        """
        null_cond = self.embed_attributes(null_attributes(attributes, self.config.attributes))
        cond = self.embed_attributes(attributes)
        attr = torch.lerp(null_cond, cond, self.config.attribute_scale)
        z = self.prior(context, attr).sample(noise, temperature)
        logits = self.decode(z, context.expand(len(z)), attr.expand(len(z), -1))
        n = len(logits)
        filled = attach(
            logits.float().sigmoid(), image.expand(n, -1, -1, -1), mask.expand(n, -1, -1, -1)
        )
        return filled.clamp(0, 1)


def _resize() -> nn.Module:
    return nn.Upsample(scale_factor=2, mode="bilinear")


MODELS = (Inpainter, FaceCVAE)
