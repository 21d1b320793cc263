"""Speed of the inpainting demo, side by side in one run: `python benchmarks/inpaint.py`.

Images/s in training of the paper's CVAE (64 px, stock float32) and of both stages of ours (128 px),
and times of fills. Writes the medians into checkpoints/inpaint/metrics.json.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from timing import in_fresh_python, keep, seconds

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from models.inpaint.cvae import FaceCVAE
from models.inpaint.model import Inpainter
from tabs.inpaint import tab
from training.data.celeba import Faces
from training.inpaint.config import Config, build_discriminator
from training.inpaint.dataset import InpaintDataset, TrainingBatch
from training.inpaint.losses import (
    auxiliary_loss,
    discriminator_loss,
    fill_and_classify,
    generator_loss,
    gradient_penalty,
)
from training.likelihoods import bernoulli_nll

BATCH = 32


def random_batch(size: int, n_prior: int) -> TrainingBatch:
    """A training batch of noise."""
    rng, names = np.random.default_rng(0), Config().model.attributes
    images = rng.integers(0, 256, (2 * BATCH, 128, 128, 3), np.uint8)
    labels = rng.uniform(size=(2 * BATCH, len(names))) > 0.5
    faces = Faces(images, labels, np.arange(2 * BATCH), names)
    dataset = InpaintDataset(faces, size, BATCH, 0, names)
    return dataset.training_batch(0, n_prior, Config().model.latent_dim).to(torch.device("cpu"))


def paper_step() -> Callable[[], None]:
    """One step of the paper's CVAE in float32, as most would write it."""
    batch, model = random_batch(64, 0).faces, FaceCVAE()
    optimizer = torch.optim.Adam(model.parameters(), 2e-4)

    def step() -> None:
        out = model(batch.image * (1 - batch.mask), batch.attributes[:, :2])
        recon = bernoulli_nll(out.logits, batch.image).mean()
        loss = recon + 0.5 * out.posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(n_prior: int) -> Callable[[], None]:
    """One step of `train_inpaint.py`: of stage one without fills from the prior, else of two."""
    cfg = Config()
    batch = random_batch(cfg.model.image_size, n_prior)
    classifiers = [checkpoint.load(path).requires_grad_(False) for path in cfg.classifiers]
    network, discriminator, *classifiers = (
        part.to(memory_format=torch.channels_last)
        for part in (Inpainter(cfg.model), build_discriminator(cfg, classifiers[0]), *classifiers)
    )
    optimizer, d_optimizer = (
        torch.optim.AdamW(part.parameters(), 1e-4, fused=True) for part in (network, discriminator)
    )
    image, mask, quarter = batch.faces.image, batch.faces.mask, slice(BATCH // 4)
    numbers = iter(range(10**9))

    def logits_of(face: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return discriminator(face, mask, classifiers[0](face).feature_maps).pool(mask)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            out = network(image, mask, batch.faces.attributes, batch.noise, n_prior)
            fills = fill_and_classify(out, batch, classifiers[0])
        if n_prior:
            with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
                d_loss = discriminator_loss(fills, batch, discriminator)
            if next(numbers) % cfg.penalty_every == 0:
                for face in (image, fills.face):
                    d_loss = d_loss + gradient_penalty(logits_of, face[quarter], mask[quarter])
            d_optimizer.zero_grad(set_to_none=True)
            d_loss.backward()
            d_optimizer.step()
        discriminator.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            losses = generator_loss(cfg, out, fills, batch, discriminator, classifiers)
            loss = losses["loss"] + sum(auxiliary_loss(network, batch).values())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        discriminator.requires_grad_(True)
        optimizer.step()

    return step


def main() -> None:
    """Measure everything, print it, keep it beside the weights."""
    steps = {"paper": paper_step, "one": lambda: our_step(0), "two": lambda: our_step(16)}
    if sys.argv[1:]:
        print(seconds(steps[sys.argv[1]](), 16))
        return
    rates = {
        name: BATCH / in_fresh_python(__file__, name, fast_allocator=name != "paper")
        for name in steps
    }
    model = checkpoint.load("inpaint")
    size = model.config.image_size
    image, mask = torch.rand(3, size, size), torch.zeros(size, size)
    mask[size // 2 :, size // 4 : -size // 4] = 1
    face, pad, *_ = tab.on_sample({"chosen": "0"})
    pad |= {"holes": [pad["presets"]["mouth"]]}
    settings = ("smile", "as it comes", 4, 1.0, 0)
    keep(
        "inpaint",
        {
            "threads": torch.get_num_threads(),
            "paper_training_stock_images_per_s": rates["paper"],
            "stage_one_images_per_s": rates["one"],
            "stage_two_images_per_s": rates["two"],
            "inpaint_4_ms": 1e3 * seconds(lambda: model.inpaint(image, mask, smile=True), 15),
            "handler_4_ms": 1e3 * seconds(lambda: tab.on_fill(pad, face, *settings), 15),
        },
    )


if __name__ == "__main__":
    main()
