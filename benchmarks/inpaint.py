"""Speed of the inpainting demo, side by side in one run: `python benchmarks/inpaint.py`.

Images/s in training of the paper's CVAE (64 px, stock float32) and of both stages of ours (128 px),
and what fills take. Writes the medians into checkpoints/inpaint/metrics.json.
"""

import sys
from collections.abc import Callable

import torch
from timing import in_fresh_python, keep, seconds

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from models.inpaint.cvae import FaceCVAE
from models.inpaint.model import Inpainter
from tabs.inpaint import tab as tab
from training.inpaint.config import Config, critic_of
from training.inpaint.dataset import FaceBatch
from training.inpaint.discriminator import Panel
from training.inpaint.losses import turn
from training.likelihoods import bernoulli_nll

BATCH = 32


def faces(size: int) -> FaceBatch:
    """Random ones, each with a hole."""
    torch.manual_seed(0)
    image, mask = torch.rand(BATCH, 3, size, size), torch.zeros(BATCH, 1, size, size)
    mask[:, :, size // 2 :, size // 4 : -size // 4] = 1
    flags = torch.rand(BATCH, len(Config().model.attributes)) > 0.5
    return FaceBatch(image, mask, flags, flags.long(), flags).to(torch.device("cpu"))


def published_step() -> Callable[[], None]:
    """One step of the paper's CVAE, float32, as most would write it."""
    batch, model = faces(64), FaceCVAE()
    optimizer = torch.optim.Adam(model.parameters(), 2e-4)

    def step() -> None:
        out = model(batch.image * (1 - batch.mask), batch.told[:, :2])
        recon = bernoulli_nll(out.logits, batch.image).mean()
        loss = recon + 0.5 * out.posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_step(free: int) -> Callable[[], None]:
    """One step of ours: stage one where no row is free, else stage two."""
    batch, cfg = faces(Config().model.image_size), Config()
    tutors = [checkpoint.load(path).requires_grad_(False) for path in cfg.tutors]
    model, critic, *tutors = (
        part.to(memory_format=torch.channels_last)
        for part in (Inpainter(cfg.model), critic_of(cfg, tutors[0]), *tutors)
    )
    panel = Panel(critic, *tutors)
    optimizer, critic_optimizer = (
        torch.optim.AdamW(part.parameters(), 1e-4, fused=True) for part in (model, critic)
    )
    at = iter(range(10**9))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16()):
            terms = turn(
                cfg, model, panel, critic_optimizer, batch, batch.told, None, free, next(at)
            )
        optimizer.zero_grad(set_to_none=True)
        terms["loss"].backward()
        optimizer.step()

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
    portrait, pad, *_ = tab.on_sample({"chosen": "0"})
    pad |= {"holes": [pad["presets"]["mouth"]]}
    settings = ("smile", "as it comes", 4, 1.0, 0)
    keep(
        "inpaint",
        {
            "threads": torch.get_num_threads(),
            "paper_training_stock_images_per_s": rates["published"],
            "stage_one_images_per_s": rates["one"],
            "stage_two_images_per_s": rates["two"],
            "inpaint_4_ms": 1e3 * seconds(lambda: model.inpaint(image, mask, smile=True), 15),
            "handler_4_ms": 1e3 * seconds(lambda: tab.on_fill(pad, portrait, *settings), 15),
        },
    )


if __name__ == "__main__":
    main()
