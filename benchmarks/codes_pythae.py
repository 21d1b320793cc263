"""Baseline: pythae's VQ-VAE trained on our data: `python benchmarks/codes_pythae.py --kind digits`.

Needs `pip install --no-deps pythae==0.1.2 cloudpickle` (Chadebec et al. 2022). Networks, quantizer
and losses are pythae's own, settings those of its examples/scripts/configs; the loop is ours, with
the quantizer in float32. Start the same command again to continue an interrupted run.
"""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pythae.models import VAE, VQVAE, VAEConfig, VQVAEConfig
from pythae.models.nn.benchmarks import celeba, mnist
from torch import Tensor, nn
from tqdm import tqdm

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from training.codes import dataset
from training.codes.codebook import perplexity
from training.codes.config import MODELS
from training.codes.dataset import Kind
from training.codes.evaluate import classify, map_batches, reconstruction
from training.engine.cli import run_training
from training.engine.run_state import Resume, atomic_write, run_lock
from training.metrics.frechet import frechet_distance

# mnist/vqvae_config.json and celeba/vqvae_config.json; sketches have the size of the latter
DIGITS = {"latent_dim": 16, "num_embeddings": 256, "use_ema": True}
FACES = {"latent_dim": 64, "num_embeddings": 128, "quantization_loss_factor": 0.2}
LR: dict[Kind, float] = {"digits": 1e-3, "sketches": 1e-4, "faces": 1e-4}


@dataclass(frozen=True)
class Config:
    """Settings of one run; the same settings always give the same figures."""

    kind: Kind = "digits"
    vae: bool = False
    """Train pythae's VAE of digits instead, a baseline of the prior's samples."""
    data_dir: Path = Path("data")
    """Folder that holds MNIST/, quickdraw/, celeba/."""
    cache_dir: Path = Path("~/.cache/latent-studio")
    run_dir: Path | None = None
    """Resume state; runs/pythae-KIND or runs/pythae-vae-KIND where None."""
    out: Path | None = None
    """Result, for `training/evaluate.py codes --pythae` or `--vae`; the same with .json if None."""
    steps: int = 4_000
    batch_size: int = 64
    lr: float | None = None
    """Constant learning rate of Adam; the benchmark's where None: 1e-3 for digits, else 1e-4."""
    save_every: int = 500
    split: Literal["valid", "test"] = "test"
    seed: int = 0

    @property
    def name(self) -> str:
        """Name of the run's folder and of its result."""
        return f"pythae-{'vae-' if self.vae else ''}{self.kind}"


class InFloat32(nn.Module):
    """pythae's quantizer outside autocast: distances in bfloat16 would give other codes."""

    def __init__(self, quantizer: nn.Module):
        super().__init__()
        self.quantizer = quantizer

    def forward(self, z: Tensor, uses_ddp: bool = False) -> Any:
        """The quantizer's output."""
        with torch.autocast(z.device.type, enabled=False):
            return self.quantizer(z.float(), uses_ddp)


def plain_vae() -> VAE:
    """The benchmark's ResNet VAE of MNIST with 16 latents, as in mnist/vae_config.json."""
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=16, reconstruction_loss="mse")
    encoder, decoder = mnist.Encoder_ResNet_VAE_MNIST(config), mnist.Decoder_ResNet_AE_MNIST(config)
    return VAE(config, encoder, decoder)


def network(kind: Kind) -> VQVAE:
    """The benchmark's ResNet VQ-VAE; for sketches that of CelebA with one channel at both ends."""
    size, channels = MODELS[kind].image_size, MODELS[kind].channels
    digits = kind == "digits"
    config = VQVAEConfig(input_dim=(channels, size, size), **(DIGITS if digits else FACES))
    if digits:
        encoder = mnist.Encoder_ResNet_VQVAE_MNIST(config)
        decoder = mnist.Decoder_ResNet_VQVAE_MNIST(config)
    else:
        encoder = celeba.Encoder_ResNet_VQVAE_CELEBA(config)
        decoder = celeba.Decoder_ResNet_VQVAE_CELEBA(config)
    if kind == "sketches":
        encoder.layers[0][0] = nn.Conv2d(1, 64, 4, 2, padding=1)
        decoder.layers[-1][0] = nn.ConvTranspose2d(64, 1, 4, 2, padding=1)
    model = VQVAE(config, encoder, decoder)
    model.quantizer = InFloat32(model.quantizer)
    return model


def train(cfg: Config) -> tuple[VQVAE | VAE, float]:
    """The network after all steps, in eval mode, and the seconds they took."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size, cache = MODELS[cfg.kind].image_size, cfg.cache_dir.expanduser()
    images, _ = dataset.load(cfg.kind, cfg.data_dir, "train", size, cache)
    torch.manual_seed(cfg.seed)
    model = plain_vae() if cfg.vae else network(cfg.kind)
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), cfg.lr or LR[cfg.kind], fused=True)
    run_dir = cfg.run_dir or Path(f"runs/{cfg.name}")
    ignored = {"data_dir", "cache_dir", "run_dir", "out", "split"}
    resume = Resume(run_dir, cfg, ignored, {"model": model, "optimizer": optimizer})
    start, seconds = resume.load()
    began = time.perf_counter()
    for step in tqdm(range(start, cfg.steps), initial=start, total=cfg.steps, mininterval=2):
        rng = np.random.default_rng((cfg.seed, step))
        x = dataset.sample_images(images, cfg.kind, cfg.batch_size, rng)
        x = x.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bfloat16(device.type)):
            loss = model({"data": x}).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        done = step + 1
        if done % cfg.save_every == 0 or done == cfg.steps:
            resume.save(done, seconds + time.perf_counter() - began)
    return model.cpu().eval(), seconds + time.perf_counter() - began


@torch.inference_mode()
def measure_reconstruction(cfg: Config, model: VQVAE) -> dict[str, Any]:
    """Reconstruction and use of the codebook, as training/codes/evaluate.py measures ours."""
    size, cache = MODELS[cfg.kind].image_size, cfg.cache_dir.expanduser()
    images, _ = dataset.load(cfg.kind, cfg.data_dir, cfg.split, size, cache)
    x = torch.from_numpy(images).float() / 255
    codes = map_batches(lambda part: model({"data": part}).quantized_indices.flatten(1), x)
    recon = map_batches(lambda part: model({"data": part}).recon_x, x)
    k = model.model_config.num_embeddings
    counts = torch.bincount(codes.flatten(), minlength=k)
    return {
        "split": cfg.split,
        "pictures": len(x),
        "reconstruction": reconstruction(cfg.kind, x, recon),
        "perplexity_over_k": perplexity(counts.float()) / k,
        "dead_share": float((counts == 0).double().mean()),
        "codes": k,
        "cells": codes.shape[1],
        "bits_per_picture": codes.shape[1] * math.log2(k),
        "parameters": sum(p.numel() for p in model.parameters()),
    }


@torch.inference_mode()
def measure_samples(cfg: Config, model: VAE) -> dict[str, Any]:
    """Frechet distance of 1,000 samples to real digits, in the features of the classifier."""
    classifier = checkpoint.load("digit-classifier")
    images, _ = dataset.load(cfg.kind, cfg.data_dir, cfg.split, 28)
    z = torch.randn(1_000, 16, generator=torch.Generator().manual_seed(cfg.seed))
    samples = map_batches(lambda part: model.decoder(part).reconstruction, z)
    _, features = classify(classifier, samples)
    _, real = classify(classifier, torch.from_numpy(images).float() / 255)
    return {"split": cfg.split, "frechet": frechet_distance(features, real)}


def main(cfg: Config) -> None:
    """Train, measure, write and print."""
    with run_lock(cfg.run_dir or Path(f"runs/{cfg.name}")):
        model, seconds = train(cfg)
        settings = asdict(model.model_config)
    result = {
        "kind": cfg.kind,
        "steps": cfg.steps,
        "batch_size": cfg.batch_size,
        "lr": cfg.lr or LR[cfg.kind],
        "seconds": seconds,
        "threads": torch.get_num_threads(),
        **(measure_samples if cfg.vae else measure_reconstruction)(cfg, model),
        "settings": settings,
    }
    text = json.dumps(result, indent=2)
    with atomic_write(cfg.out or Path(f"runs/{cfg.name}.json")) as file:
        file.write(f"{text}\n".encode())
    print(text)


if __name__ == "__main__":
    run_training(main, Config)
