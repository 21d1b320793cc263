"""Classifiers of drawings, digits and faces: for evaluation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from models.blocks import ResBlock, init_convolutions
from models.images import to_ink, to_rgb

FACE_SIZE = 64  # px, the side to which faces are reduced
FEATURE_DIM = 128
PREDICT_BATCH = 256


class ClassifierOutput(NamedTuple):
    """Logits, penultimate features (for the Frechet distance) and intermediate feature maps."""

    logits: Float[Tensor, "b k"]
    features: Float[Tensor, "b 128"]
    feature_maps: list[Tensor]


@dataclass(frozen=True)
class AttributeClassifierConfig:
    """Rebuilds the network; saved beside the weights."""

    attributes: tuple[str, ...]
    """CelebA's names of the attributes, one logit each."""
    width: int = 32
    """Channels of the first stage; doubled at each of the next two."""

    def __post_init__(self):
        if not self.attributes or self.width < 1:
            raise ValueError(f"attributes and width must not be empty: {self}")


class AttributeClassifier(nn.Module):
    """Convolutional multi-label classifier of CelebA's attributes."""

    config_class = AttributeClassifierConfig

    def __init__(self, config: AttributeClassifierConfig):
        super().__init__()
        self.config, width = config, config.width
        self.stages = nn.ModuleList(
            [
                nn.Sequential(nn.Conv2d(3, width, 5, 2, 2), ResBlock(width)),
                nn.Sequential(nn.SiLU(), nn.Conv2d(width, 2 * width, 3, 2, 1), ResBlock(2 * width)),
                nn.Sequential(
                    nn.SiLU(),
                    nn.Conv2d(2 * width, 4 * width, 3, 2, 1),
                    ResBlock(4 * width),
                    ResBlock(4 * width),
                ),
            ]
        )
        self.pool = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(4 * width, 4 * width, 3, 2, 1),
            nn.SiLU(),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(4 * width * (FACE_SIZE // 16) ** 2, FEATURE_DIM),
            nn.SiLU(),
        )
        self.dropout, self.head = nn.Dropout(0.3), nn.Linear(FEATURE_DIM, len(config.attributes))
        init_convolutions(self)

    def forward(self, x: Float[Tensor, "b 3 h w"]) -> ClassifierOutput:
        """Faces in [0, 1], of 64x64 px or a multiple of it."""
        if x.shape[-1] != FACE_SIZE:
            x = F.avg_pool2d(x, x.shape[-1] // FACE_SIZE)
        brightness = x.mean((1, 2, 3), keepdim=True)
        h, feature_maps = (x - brightness) * 4, []
        for stage in self.stages:
            h = stage(h)
            feature_maps.append(h)
        features = self.pool(h).float()
        logits = self.head(self.dropout(features)).float()
        return ClassifierOutput(logits, features, feature_maps)

    @torch.inference_mode()
    def probabilities(self, faces: Float[Tensor, "b 3 h w"]) -> dict[str, list[float]]:
        """Attribute -> the probability that each face has it."""
        columns = self(faces).logits.sigmoid().T.tolist()
        return dict(zip(self.config.attributes, columns, strict=True))

    @torch.inference_mode()
    def predict(
        self, faces: UInt8[np.ndarray, "n h w 3"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
        """Logits and features of many faces, in batches of 256."""
        return _joined(self(to_rgb(part)) for part in _batches(faces))


@dataclass(frozen=True)
class DrawingClassifierConfig:
    """Rebuilds the network; saved beside the weights."""

    classes: tuple[str, ...]
    """Names of the classes, one logit each."""

    def __post_init__(self):
        if not self.classes:
            raise ValueError("classes must not be empty")


class DrawingClassifier(nn.Module):
    """Convolutional classifier of binarised 64x64 px drawings."""

    config_class = DrawingClassifierConfig

    def __init__(self, config: DrawingClassifierConfig):
        super().__init__()
        self.config = config
        self.body = drawing_features(1)
        self.dropout, self.head = nn.Dropout(0.3), nn.Linear(FEATURE_DIM, len(config.classes))

    def forward(self, x: Float[Tensor, "b 1 64 64"]) -> ClassifierOutput:
        """Logits and features of binarised ink."""
        features = self.body(x).float()
        return ClassifierOutput(self.head(self.dropout(features)).float(), features, [])

    @torch.inference_mode()
    def predict(
        self, ink: UInt8[np.ndarray, "n 64 64"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
        """Logits and features of many drawings, binarised at half ink, in batches of 256."""
        return _joined(self(to_ink(part).gt(0.5).float()[:, None]) for part in _batches(ink))


@dataclass(frozen=True)
class DigitClassifierConfig:
    """Rebuilds the network; saved beside the weights."""

    classes: tuple[str, ...]
    """Names of the classes, one logit each."""

    def __post_init__(self):
        if not self.classes:
            raise ValueError("classes must not be empty")


class DigitClassifier(nn.Module):
    """Classifier of 28x28 px digits after LeNet-5 (LeCun et al. 1998), wider and with SiLU."""

    config_class = DigitClassifierConfig

    def __init__(self, config: DigitClassifierConfig):
        super().__init__()
        self.config = config
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5),
            nn.SiLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 4**2, FEATURE_DIM),
            nn.SiLU(),
        )
        self.dropout, self.head = nn.Dropout(0.3), nn.Linear(FEATURE_DIM, len(config.classes))

    def forward(self, x: Float[Tensor, "b 1 28 28"]) -> ClassifierOutput:
        """Logits and features of digits in [0, 1], white on black."""
        features = self.body(x).float()
        return ClassifierOutput(self.head(self.dropout(features)).float(), features, [])

    @torch.inference_mode()
    def predict(
        self, digits: UInt8[np.ndarray, "n 28 28"]
    ) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n 128"]]:
        """Logits and features of many digits, in batches of 256."""
        return _joined(self(to_ink(part)[:, None]) for part in _batches(digits))


def drawing_features(channels: int) -> nn.Sequential:
    """A convolutional encoder (b, channels, 64, 64) -> (b, 128)."""
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
        nn.Linear(128 * 16, FEATURE_DIM),
        nn.SiLU(),
    )


def _batches(images: np.ndarray) -> Iterator[np.ndarray]:
    return (images[i : i + PREDICT_BATCH] for i in range(0, len(images), PREDICT_BATCH))


def _joined(outputs: Iterable[ClassifierOutput]) -> tuple[np.ndarray, np.ndarray]:
    """Logits and features of all batches."""
    pairs = [(out.logits, out.features) for out in outputs]
    logits, features = (torch.cat(column).numpy() for column in zip(*pairs, strict=True))
    return logits, features


MODELS = (AttributeClassifier, DigitClassifier, DrawingClassifier)
