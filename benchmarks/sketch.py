"""Speed of the sketch demo, side by side in one run: `python benchmarks/sketch.py`.

Trains the paper's CVAE for some steps in stock float32 and with our loop's settings, times 16
completions, the app's whole handler, and `python app.py` until its page answers. Writes the medians
into checkpoints/sketch/metrics.json. `--float32` only times completions without bfloat16, as on
processors that lack it, and writes nothing.
"""

import argparse
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import torch
from timing import in_fresh_python, keep, seconds
from torch import Tensor

from models import checkpoint
from models.bf16 import has_fast_bfloat16
from models.images import rasterise
from models.sketch.cvae import SketchCVAE
from tabs.sketch import handlers
from training.sketch import losses

ROOT = Path(__file__).parent.parent
BATCH = 64
HALF_CAT = [
    [[40, 60, 90, 130, 170, 190], [120, 40, 90, 85, 90, 40]],
    [[190, 215, 200, 150], [40, 120, 190, 225]],
    [[95, 97, 99], [130, 132, 130]],
]


def training_step(stock: bool) -> Callable[[], None]:
    """One optimizer step of the paper's CVAE on random ink."""
    torch.manual_seed(0)
    x = (torch.rand(BATCH, 1, 64, 64) > 0.8).float()
    y = x * (torch.rand_like(x) > 0.5)
    model = SketchCVAE()
    if not stock:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-4, fused=not stock)
    bf16 = not stock and has_fast_bfloat16()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = losses.cvae_elbo(model(x, y), x)["loss"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def app_start() -> float:
    """Seconds from `python app.py` until its page answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"GRADIO_SERVER_PORT": str(port)}
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env) as app:
        try:
            while time.perf_counter() - began < 120:
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).read()
                    return time.perf_counter() - began
                except OSError:
                    time.sleep(0.05)
        finally:
            app.terminate()
    raise TimeoutError("the page did not answer within two minutes")


def completion_speed(ink: Tensor) -> dict[str, float]:
    """Milliseconds of 16 completions by the shipped network, of 32, and of 16 by the paper's."""
    model, published = checkpoint.load("sketch"), SketchCVAE().eval()
    return {
        "complete_16_ms": 1e3 * seconds(lambda: model.complete(ink, "cat", 16), 15),
        "complete_32_ms": 1e3 * seconds(lambda: model.complete(ink, "cat", 32), 15),
        "paper_complete_16_ms": 1e3 * seconds(lambda: published.complete(ink, 16), 15),
    }


def float32_speed(ink: Tensor) -> dict[str, float]:
    """`completion_speed` as on a processor without bfloat16, and its ratio to the paper's."""
    with mock.patch("models.sketch.model.has_fast_bfloat16", return_value=False):
        speed = completion_speed(ink)
    speed["ratio"] = speed["complete_16_ms"] / speed["paper_complete_16_ms"]
    return {f"float32_{name}": value for name, value in speed.items()}


def main() -> None:
    """Measure everything, print it, keep it beside the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--float32", action="store_true", help="only completions, without bfloat16")
    parser.add_argument("step", nargs="?", choices=("stock", "ours"), help="only a training step")
    options = parser.parse_args()
    ink = rasterise(HALF_CAT)
    if options.step:
        print(seconds(training_step(options.step == "stock"), 8))
        return
    if options.float32:
        for name, value in float32_speed(ink).items():
            print(f"{name}: {value:.2f}")
        return
    drawing = {"strokes": HALF_CAT, "erase": [False] * len(HALF_CAT), "base": None}
    settings = ("cat", 16, 1.0, 0, "Probabilities", 0.5)
    speed = {"threads": torch.get_num_threads()} | completion_speed(ink) | float32_speed(ink)
    speed |= {
        "handler_16_ms": 1e3 * seconds(lambda: handlers.on_complete(drawing, *settings), 15),
        "app_start_s": statistics.median(app_start() for _ in range(3)),
    }
    stock = BATCH / in_fresh_python(__file__, "stock", fast_allocator=False)
    ours = BATCH / in_fresh_python(__file__, "ours", fast_allocator=True)
    speed |= {
        "paper_training_stock_images_per_s": stock,
        "paper_training_our_loop_images_per_s": ours,
        "paper_training_ratio": ours / stock,
    }
    keep("sketch", speed)


if __name__ == "__main__":
    main()
