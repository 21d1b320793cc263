"""Run by `accelerate launch`: one adversarial step of `train_inpaint.py` without dropout.

Arguments: data folder and run folder. All weights are random, so that all have a gradient.
"""

import os
import sys
from pathlib import Path

import torch

from models.inpaint.model import InpaintConfig, Inpainter
from tests.helpers.random_weights import randomized
from training import train_inpaint
from training.inpaint.config import Config

if __name__ == "__main__":
    data_dir, out = map(Path, sys.argv[1:])
    torch.nn.functional.dropout = lambda x, *_args, **_kwargs: x  # masks are drawn per process
    train_inpaint.Inpainter = lambda settings: randomized(Inpainter(settings), 0.02)
    cfg = Config(
        data_dir=data_dir,
        cache_dir=data_dir / "cache",
        out_dir=out / "inpaint",
        run_dir=out,
        model=InpaintConfig(
            64, ("Smiling", "Eyeglasses", "Male", "Young"), (8, 8, 8), 8, 4, 4, 8, 2
        ),
        steps=1,
        half_size_steps=0,
        adversarial_from=0,
        adversarial_ramp=1,
        discriminator_warmup=0,
        batch_size=8,
        save_every=1,
        precision="no",
    )
    train_inpaint.main(cfg)
    os._exit(0)  # all is written; torch's threads, taken down at leisure, may still abort
