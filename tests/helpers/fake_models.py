"""Stand-ins for the trained models: quick, seeded, the same interface."""

import gc
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import gradio as gr
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import app
from models.classifiers import ClassifierOutput, DrawingClassifierConfig
from models.codes.prior import CodesPrior, CodesPriorConfig
from models.codes.vqvae import VQVAE, VQVAEConfig
from models.digits.autoencoder import Autoencoder
from models.digits.base import DigitModel
from models.digits.cvae import CVAE
from models.digits.diffusion import Diffusion
from models.digits.gan import GAN
from models.digits.vae import VAE
from models.digits.vq import VQ
from models.faces.base import FaceModel
from models.faces.model import FacesVAE, PlainVAE, TwoStageVAE
from models.images import rasterise
from models.inpaint.attributes import seeded_noise
from models.inpaint.model import InpaintConfig, InpaintSample
from tabs import model_cache
from tabs.sketch.handlers import LABELS
from tests.digits.tiny import tiny, tiny_plane
from tests.faces.tiny import tiny as tiny_face_model

# Gradio leaves sockets and event loops to the collector, and uses what pandas deprecates.
NOISE = pytest.mark.filterwarnings(
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore:.*no_silent_downcasting",
    "ignore:The copy keyword",
)


class FakeSketchModel(nn.Module):
    """Adds a few seeded strokes to the drawing; temperature 0 adds always the same ones."""

    labels = LABELS

    def complete(
        self,
        partial: Tensor,
        label: str = "any",
        count: int = 16,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> Tensor:
        """`count` pictures, each with four soft strokes more than `partial`."""
        if label not in ("any", *self.labels):
            raise ValueError(f"unknown label {label!r}")
        g = torch.Generator().manual_seed(seed)
        first = 128 + 50 * torch.randn(1, 4, 2, 5, generator=g)
        moved = first + temperature * 45 * torch.randn(count, 4, 2, 5, generator=g)
        ink = torch.stack([rasterise(strokes.tolist()) for strokes in moved])
        doubt = 1 - 0.5 * temperature * torch.rand(count, 1, 1, generator=g)
        return torch.maximum(ink * doubt.clamp(0, 1), partial)

    def complete_with_labels(
        self, partial: Tensor, *settings: object
    ) -> tuple[Tensor, dict[str, float]]:
        """`complete`, and label probabilities: the more ink, the more probable is a cat."""
        cat = 0.5 + 0.5 * float(partial.mean())
        return self.complete(partial, *settings), {"cat": cat, "face": 0.996 - cat, "sun": 0.004}


class FakeDrawingClassifier(nn.Module):
    """The more ink, the surer of a cat."""

    config = DrawingClassifierConfig(LABELS)

    def predict(self, ink: np.ndarray) -> tuple[np.ndarray, None]:
        """Logits (n, k) of drawings (n, 64, 64)."""
        logits = np.zeros((len(ink), len(LABELS)), np.float32)
        logits[:, LABELS.index("cat")] = ink.mean((1, 2))
        return logits, None


class FakeInpaintModel(nn.Module):
    """Fills the hole with one seeded colour, lighter for a smile, darker for none."""

    config = InpaintConfig(64)

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
        """`count` pictures for each of `smiles`; glasses are blue, and their absence is red."""
        noise = seeded_noise(count, 3, seed) * 0.1 * temperature
        if glasses is False and (image[0] > 0.9).any():  # what is red counts as glasses
            mask = mask * (image[0] > 0.9)
        rows = []
        for smile in smiles:
            colour = 0.5 + noise + (0.0 if smile is None else 0.2 if smile else -0.2)
            if glasses is not None:
                colour[:, 2 if glasses else 0] += 0.2
            rows.append(torch.where(mask > 0, colour.clamp(0, 1)[:, :, None, None], image))
        return InpaintSample(torch.stack(rows), mask)


class FakeAttributeClassifier(nn.Module):
    """The lighter the lower half of a face, the more it smiles; blue is glasses."""

    def forward(self, faces: Tensor) -> ClassifierOutput:
        """Features are the rows' brightness."""
        features = faces.mean((1, 3))
        return ClassifierOutput(features[:, :2], features, [])

    def probabilities(self, faces: Tensor) -> dict[str, list[float]]:
        """Attribute -> a share for each face."""
        light = faces[:, :, 32:].mean((1, 2, 3)).tolist()
        return {"Smiling": light, "Eyeglasses": faces[:, 2].mean((1, 2)).tolist()}


_seeding = threading.Lock()  # the app loads models in threads, torch has one random state

CODES = {
    "digits": VQVAEConfig(28, 1, (4, 8), 1, 1, 12, 4, tuple("0123456789")),
    "sketches": VQVAEConfig(64, 1, (4, 8), 1, 1, 10, 4, LABELS),
    "faces": VQVAEConfig(64, 3, (4, 8), 1, 1, 14, 4),
}

DIGITS: dict[str, type[DigitModel]] = {
    "ae": Autoencoder, "vae": VAE, "cvae": CVAE, "vq": VQ, "gan": GAN, "diffusion": Diffusion,
}  # fmt: skip
FACES: dict[str, type[FaceModel]] = {
    "faces": TwoStageVAE, "faces-vae": FacesVAE, "faces-plain": PlainVAE,
}  # fmt: skip


def load(stem: str) -> nn.Module:
    """The fake of a demo's model; the same weights in every call, from any thread."""
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        return _build(stem)


def _build(stem: str) -> nn.Module:
    part, _, kind = stem.partition("-")
    if part == "codes":
        vqvae = VQVAE(CODES[kind]).eval().requires_grad_(False)
        vqvae.codebook.data *= 3
        vqvae.code_counts += torch.arange(CODES[kind].num_codes)
        return vqvae
    if part == "prior":
        config = CODES[kind]
        settings = CodesPriorConfig(config.num_codes, config.grid_size, config.class_names, 8, 2, 1)
        return CodesPrior(settings).eval().requires_grad_(False)
    if kind.startswith("latent2"):
        return tiny_plane(Autoencoder if kind.endswith("-ae") else VAE)
    if part == "digits":
        return tiny(DIGITS[kind])
    if part == "faces":
        return tiny_face_model(FACES[stem])
    kinds = {
        "sketch": FakeSketchModel,
        "sketch-classifier": FakeDrawingClassifier,
        "inpaint": FakeInpaintModel,
        "face-classifier": FakeAttributeClassifier,
    }
    return kinds[stem]()


@contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The whole app on a free port, with stand-ins as its models: its address."""
    with page(monkeypatch) as studio:
        yield studio.local_url


@contextmanager
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[gr.Blocks]:
    """The same as Gradio's object."""
    monkeypatch.setattr(model_cache, "load", load)
    studio = app.build()
    warming = app.launch(studio, quiet=True)
    try:
        yield studio
    finally:
        warming.join()  # else it would go on with the next test's models and random numbers
        studio.close()
        gc.collect()  # while the test that made it still ignores the noise
