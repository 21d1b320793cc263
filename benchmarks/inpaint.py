"""Speed of the inpainting demo, side by side in one run: `python benchmarks/inpaint.py`.

Images/s in training of the paper's CVAE in stock float32 and of both stages of ours, and what fills
take. Writes the medians into checkpoints/inpaint/metrics.json.
"""

import sys
from collections.abc import Callable

import torch
from timing import in_fresh_python, keep, seconds

from models import checkpoint
from models.inpaint import InpaintConfig, Inpainter
from models.inpaint_cvae import FaceCVAE
from training import common, losses
from training.data.erased import FaceBatch
from training.inpaint_critic import FaceCritic
from training.inpaint_plan import Config, composed, critic_terms, drawn_terms, fooled

BATCH = 32


def faces() -> FaceBatch:
    """Random ones, each with a hole."""
    torch.manual_seed(0)
    image, mask = torch.rand(BATCH, 3, 64, 64), torch.zeros(BATCH, 1, 64, 64)
    mask[:, :, 38:, 12:52] = 1
    flags = torch.rand(BATCH, 2) > 0.5
    return FaceBatch(image, mask, flags, flags.long(), flags).to(torch.device("cpu"))


def published_step() -> Callable[[], None]:
    """One step of the paper's CVAE, float32, as most would write it."""
    batch, model = faces(), FaceCVAE()
    optimizer = torch.optim.Adam(model.parameters(), 2e-4)

    def step() -> None:
        out = model(batch.image * (1 - batch.mask), batch.told)
        recon = losses.bernoulli_nll(out.logits, batch.image).mean()
        loss = recon + 0.5 * out.posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(free: int) -> Callable[[], None]:
    """One step of ours: stage one where no row is free, else stage two."""
    batch, cfg = faces(), Config(model=InpaintConfig(64))
    model, critic = (
        part.to(memory_format=torch.channels_last) for part in (Inpainter(cfg.model), FaceCritic())
    )
    tutor = checkpoint.load("inpaint-tutor").requires_grad_(False)
    tutor = tutor.to(memory_format=torch.channels_last)
    optimizers = [
        torch.optim.AdamW(part.parameters(), 1e-4, fused=True) for part in (model, critic)
    ]
    turn = iter(range(10**9))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=common.has_fast_bf16()):
            out = model(batch.image, batch.mask, batch.told, free=free)
            terms = drawn_terms(cfg, out, batch, batch.told, free, tutor, [0, 1])
            if free:
                face = composed(out, batch)
                told = critic_terms(cfg, critic, face, batch, next(turn))
                optimizers[1].zero_grad(set_to_none=True)
                told["loss"].backward()
                optimizers[1].step()
                terms["loss"] = terms["loss"] + fooled(critic, face, batch)
        optimizers[0].zero_grad(set_to_none=True)
        terms["loss"].backward()
        optimizers[0].step()

    return step


def main() -> None:
    """Measure everything, print it, keep it beside the weights."""
    steps = {"published": published_step, "one": lambda: our_step(0), "two": lambda: our_step(16)}
    if sys.argv[1:]:
        print(seconds(steps[sys.argv[1]](), 16))
        return
    rates = {
        name: BATCH / in_fresh_python(__file__, name, fast_allocator=name != "published")
        for name in steps
    }
    model = checkpoint.load("inpaint")
    size = model.config.image_size
    image, mask = torch.rand(3, size, size), torch.zeros(size, size)
    mask[size // 2 :, size // 4 : -size // 4] = 1
    keep(
        "inpaint",
        {
            "threads": torch.get_num_threads(),
            "paper_training_stock_images_per_s": rates["published"],
            "stage_one_images_per_s": rates["one"],
            "stage_two_images_per_s": rates["two"],
            "inpaint_4_ms": 1e3 * seconds(lambda: model.inpaint(image, mask, smile=True), 15),
        },
    )


if __name__ == "__main__":
    main()
