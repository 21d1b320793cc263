"""The judges of drawings: classifiers of real whole pictures, apart from any model they judge."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from models.blocks import ResBlock
from models.images import to_ink


class JudgeOutput(NamedTuple):
    """Class logits, and the features in which the Frechet distance is taken."""

    logits: Float[Tensor, "b k"]
    features: Float[Tensor, "b 128"]


def picture_features(channels: int) -> nn.Sequential:
    """(b, channels, 64, 64) -> (b, 128), by convolutions."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5, stride=2, padding=2),
        nn.SiLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        ResBlock(64),
        nn.SiLU(),
        nn.Conv2d(64, 128, 3, stride=2, padding=1),
        ResBlock(128),
        ResBlock(128),
        nn.SiLU(),
        nn.Conv2d(128, 128, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
        nn.Linear(128 * 16, 128),
        nn.SiLU(),
    )


class SketchJudge(nn.Module):
    """A small convolutional classifier of binarised 64x64 drawings."""

    def __init__(self, classes: int):
        super().__init__()
        self.body = picture_features(1)
        self.dropout, self.head = nn.Dropout(0.3), nn.Linear(128, classes)

    def forward(self, x: Float[Tensor, "b 1 64 64"]) -> JudgeOutput:
        """Logits and features of binarised ink."""
        features = self.body(x).float()
        return JudgeOutput(self.head(self.dropout(features)).float(), features)

    @torch.inference_mode()
    def judge(
        self, pictures: UInt8[np.ndarray, "n 64 64"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
        """Logits and features of many pictures, binarised at half ink first."""
        parts = [
            self(to_ink(pictures[i : i + 256]).gt(0.5).float()[:, None])
            for i in range(0, len(pictures), 256)
        ]
        logits, features = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
        return logits, features


def load_judge(path: Path) -> SketchJudge:
    """The judge that `train_judge.py` wrote, in eval mode."""
    if not path.exists():
        raise FileNotFoundError(f"no judge at {path}: `python training/train_judge.py` first")
    weights = load_file(path)
    judge = SketchJudge(len(weights["head.bias"])).eval()
    judge.load_state_dict(weights)
    return judge
