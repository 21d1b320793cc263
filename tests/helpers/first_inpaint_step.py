"""Run by `accelerate launch`: one adversarial step of `train_inpaint.py` without dropout.

Arguments: data folder, with classifier and inpainter to start from, and run folder.
"""

import os
import sys
from pathlib import Path

import torch

from models.inpaint.model import InpaintConfig
from training import train_inpaint
from training.inpaint.config import Config

if __name__ == "__main__":
    data_dir, out = map(Path, sys.argv[1:])
    torch.nn.functional.dropout = lambda x, *_args, **_kwargs: x  # masks are drawn per process
    cfg = Config(
        data_dir=data_dir,
        cache_dir=data_dir / "cache",
        out_dir=out / "inpaint",
        run_dir=out,
        classifiers=(data_dir / "perceptual-classifier",) * 2,
        model=InpaintConfig(
            64, ("Smiling", "Eyeglasses", "Male", "Young"), (8, 8, 8), 8, 4, 4, 8, 2
        ),
        init=data_dir / "inpaint",
        steps=0,
        gan_steps=1,
        batch_size=8,
        save_every=1,
        precision="no",
    )
    train_inpaint.main(cfg)
    os._exit(0)  # all is written; torch's threads, taken down at leisure, may still abort
