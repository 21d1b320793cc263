"""Speed of the inpainting demo, side by side in one run: `python benchmarks/inpaint.py`.

Images/s in training of the paper's CVAE (64 px, stock float32) and of ours (128 px; at half size,
then at full size with the discriminator), and times of fills. Writes the medians into
checkpoints/inpaint/metrics.json.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from timing import in_fresh_python, keep, seconds

from models import checkpoint
from models.inpaint.cvae import FaceCVAE
from tabs.inpaint import tab
from training import train_inpaint
from training.data.celeba import Faces
from training.inpaint.config import Config
from training.inpaint.dataset import FaceBatch, InpaintDataset
from training.likelihoods import bernoulli_nll

BATCH = 32
STEPS = 12


def random_faces() -> Faces:
    """Noise as photographs."""
    rng, names = np.random.default_rng(0), Config().model.attributes
    images = rng.integers(0, 256, (2 * BATCH, 128, 128, 3), np.uint8)
    labels = rng.uniform(size=(2 * BATCH, len(names))) > 0.5
    return Faces(images, labels, np.arange(2 * BATCH), names)


def paper_step() -> Callable[[], None]:
    """One step of the paper's CVAE in float32, as most would write it."""
    names = Config().model.attributes
    batch: FaceBatch = InpaintDataset(random_faces(), 64, BATCH, 0, names)[0]
    model = FaceCVAE()
    optimizer = torch.optim.Adam(model.parameters(), 2e-4)

    def step() -> None:
        out = model(batch.image * (1 - batch.mask), batch.attributes[:, :2])
        recon = bernoulli_nll(out.logits, batch.image).mean()
        loss = recon + 0.5 * out.posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def our_seconds(half_size: bool) -> float:
    """Median time of a step of `train_inpaint.py`, data and logging included."""
    train_inpaint.celeba.load = lambda *_: random_faces()
    with tempfile.TemporaryDirectory() as folder:
        cfg = Config(
            out_dir=Path(folder, "inpaint"),
            run_dir=Path(folder),
            steps=STEPS,
            half_size_steps=STEPS if half_size else 0,
            adversarial_from=STEPS if half_size else 0,
            adversarial_ramp=1,
            discriminator_warmup=0,
            batch_size=BATCH,
            log_every=1,
            save_every=STEPS,
        )
        train_inpaint.main(cfg)
        lines = Path(folder, "metrics.jsonl").read_text().splitlines()
    return float(np.median(np.diff([json.loads(line)["seconds"] for line in lines])))


def main() -> None:
    """Measure everything, print it, keep it beside the weights."""
    runs = {
        "paper": lambda: seconds(paper_step(), 16),
        "half": lambda: our_seconds(half_size=True),
        "full": lambda: our_seconds(half_size=False),
    }
    if sys.argv[1:]:
        print(runs[sys.argv[1]]())
        return
    rates = {
        name: BATCH / in_fresh_python(__file__, name, fast_allocator=name != "paper")
        for name in runs
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
            "half_size_images_per_s": rates["half"],
            "full_size_images_per_s": rates["full"],
            "inpaint_4_ms": 1e3 * seconds(lambda: model.inpaint(image, mask, smile=True), 15),
            "handler_4_ms": 1e3 * seconds(lambda: tab.on_fill(pad, face, *settings), 15),
        },
    )


if __name__ == "__main__":
    main()
