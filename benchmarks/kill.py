"""Kill a training 20 times and compare: `python benchmarks/kill.py --script inpaint`.

The script's own command line, a tiny network, made-up data. It runs once unbroken; then it gets
SIGKILL at seeded random moments, while it starts, while it steps and while it saves, and the same
command again each time, until it ends. Weights, resume state, log (but for times) and pictures must
be those of the unbroken run, and no temporary file may be left. Prints JSON; exits 1 if not equal.
"""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from models import checkpoint
from models.classifiers import AttributeClassifier, AttributeClassifierConfig
from training.data import mnist
from training.engine.cli import ALLOCATOR, run

ROOT = Path(__file__).resolve().parent.parent
SAVE_EVERY = 20
PATIENCE = 600  # s for one life
SAVING = ("state.pt.part", "checkpoint/.model.safetensors.tmp")  # there while a run saves
LEFT = (".part", ".tmp", ".old")  # how a temporary file ends
KEPT = (".safetensors", ".json", ".png")
TIMES = ("seconds", "images_per_s")
FLAGS = {
    "codes": "--kind digits --steps {all} --batch-size 32 --restart-every 7 --dead-threshold 0.5 "
    "model:vqvae-config --model.image-size 28 --model.channels 1 --model.widths 4 8 "
    "--model.blocks 1 --model.num-codes 6 --model.code-dim 3 "
    "--model.class-names 0 1 2 3 4 5 6 7 8 9",
    "sketch": "--steps {most} --critic-steps {some} --reinforce-steps {some} --reinforce-samples 2 "
    "--batch-size 4 --model.fine-channels 4 --model.coarse-channels 8 --model.width 16 "
    "--model.heads 2 --model.context-layers 1 --model.layers 1 --model.max-points 12",
    "inpaint": "--steps {some} --gan-steps {most} --batch-size 4 --penalty-every 2 "
    "--classifiers {data}/face-classifier {data}/face-classifier --model.image-size 64 "
    "--model.channels 8 8 8 --model.refiner-channels 8 --model.head-channels 4 "
    "--model.latent-dim 4 --model.cond-dim 8 --model.heads 2",
}


@dataclass(frozen=True)
class Config:
    """What is killed, and how often."""

    script: Literal["codes", "sketch", "inpaint"] = "inpaint"
    kills: int = 20
    steps: int = 400
    """Of the whole run; it saves after every 20th."""
    seed: int = 0


class Moment(NamedTuple):
    """When a run is killed: what it is at, the step it waits for, and a fraction drawn."""

    at: str
    """`start`, `step`, or the temporary file that is there while it saves."""
    step: int
    fraction: float


def plan(cfg: Config) -> list[Moment]:
    """Half while it steps, a quarter while it starts, a quarter while it saves: the last of these
    at the end, before the weights are in their place.
    """
    rng = np.random.default_rng(cfg.seed)
    turns = ("step", "start", "step", SAVING[0], "step", "start", "step", SAVING[1])
    places = rng.permutation([turns[i % 8] for i in range(cfg.kills - 1)]).tolist()
    steps = np.sort(rng.integers(0, cfg.steps - 2 * SAVE_EVERY, len(places))).tolist()
    rows = zip(places, steps, rng.uniform(size=len(places)), strict=True)
    return [*(Moment(*row) for row in rows), Moment(SAVING[1], cfg.steps - 1, 0.0)]


def make_data(folder: Path) -> None:
    """A few pictures of each kind, as the tests have them, and an untrained classifier."""
    sys.path.append(str(ROOT))
    from tests.helpers.faces import NAMES, with_random_photos, write_celeba
    from tests.helpers.fake_datasets import write_mnist, write_quickdraw

    write_mnist(folder, {"train": mnist.VALID + 40})
    write_quickdraw(folder / "quickdraw")
    with_random_photos(write_celeba(folder / "celeba", 24))
    torch.manual_seed(0)
    checkpoint.save(
        folder / "face-classifier", AttributeClassifier(AttributeClassifierConfig(NAMES, 4))
    )


class Run:
    """The script's command line with a folder of its own, started once or again and again.

    Of less weight than the one who watches it, who would otherwise come too late.
    """

    def __init__(self, cfg: Config, data: Path, folder: Path):
        some = cfg.steps // 4
        flags = FLAGS[cfg.script].format(all=cfg.steps, some=some, most=cfg.steps - some, data=data)
        self.start = math.inf  # s until its first step, the least so far
        self.folder, self.log = folder, folder / "metrics.jsonl"
        self.said = folder.with_suffix(".err")
        places = f"--run-dir {folder} --out-dir {folder}/checkpoint --data-dir {data}"
        places += f" --cache-dir {data}/cache --log-every 1 --save-every {SAVE_EVERY}"
        script = f"training/train_{cfg.script}.py"
        self.command = ["nice", sys.executable, script, *places.split(), *flags.split()]
        self.env = os.environ | {"PYTHONPATH": str(ROOT), "GLIBC_TUNABLES": ALLOCATOR}
        self.env |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def begin(self) -> None:
        """Start it."""
        self.born, self.launched = time.time_ns(), time.monotonic()
        with self.said.open("w") as said:
            self.process = subprocess.Popen(self.command, cwd=ROOT, env=self.env, stderr=said)

    def wait(self, until: Callable[[], bool], pause: float = 0.001) -> None:
        """Look again and again whether it is time; that it ends by itself before is an error."""
        last = time.monotonic() + PATIENCE
        while not until():
            if self.process.poll() is not None or time.monotonic() > last:
                self.process.kill()
                self.end(None)
            time.sleep(pause)

    def begun(self) -> None:
        """Wait for its first step."""
        self.wait(lambda: self.step() >= 0)
        self.start = min(self.start, time.monotonic() - self.launched)

    def end(self, expected: int | None) -> None:
        """Wait for its end, which must be this exit status."""
        if (code := self.process.wait(PATIENCE)) != expected:
            raise SystemExit(f"a run ended with {code} too early:\n{self.said.read_text()}")

    def step(self) -> int:
        """The last step in the log, -1 before this life has begun its own."""
        if not self.is_new(self.log):
            return -1
        rows = [row for row in self.log.read_text().splitlines() if row.endswith("}")]
        return json.loads(rows[-1])["step"] if rows else -1

    def is_new(self, path: Path) -> bool:
        """Whether this life has touched it; one before may have left it."""
        try:
            return path.stat().st_ctime_ns >= self.born
        except FileNotFoundError:
            return False

    def temporary(self) -> list[Path]:
        """What is there only while a run saves, or where it was killed then."""
        return [path for path in sorted(self.folder.rglob("*")) if path.name.endswith(LEFT)]


def unbroken(run: Run) -> None:
    """From where it is to its end."""
    run.begin()
    run.begun()
    run.end(0)


def killed(run: Run, moment: Moment) -> str:
    """One life and its end at this moment: what it was at."""
    run.begin()
    if moment.at == "start":
        time.sleep(moment.fraction * run.start)
    else:
        run.begun()
        run.wait(lambda: run.step() >= moment.step)
        if moment.at == "step":
            time.sleep(moment.fraction * 0.05)
        else:
            run.wait(lambda: run.is_new(run.folder / moment.at), 0)
    run.process.kill()
    run.end(-signal.SIGKILL)
    if left := [path.name for path in run.temporary() if run.is_new(path)]:
        return f"saving {left[0]}"
    return "starting" if run.step() < 0 else f"stepping after {run.step()}"


def digest(value: Any) -> str:
    """SHA-256 of a resume state or a part of it, bit for bit."""
    if isinstance(value, torch.Tensor):
        raw = value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        text = f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(raw).hexdigest()}"
    elif isinstance(value, dict):
        text = str([(str(key), digest(part)) for key, part in value.items()])
    elif isinstance(value, list | tuple):
        text = str([digest(part) for part in value])
    else:
        text = repr(value)
    return hashlib.sha256(text.encode()).hexdigest()


def outcome(folder: Path) -> dict[str, str]:
    """SHA-256 of all that a run leaves behind and that no clock has touched."""
    files = [path for path in sorted(folder.rglob("*")) if path.suffix in KEPT]
    shas = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    found = {str(path.relative_to(folder)): sha for path, sha in zip(files, shas, strict=True)}
    state = torch.load(folder / "state.pt", weights_only=True)
    rows = [json.loads(row) for row in (folder / "metrics.jsonl").read_text().splitlines()]
    untimed = [{k: v for k, v in row.items() if k not in TIMES} for row in rows]
    parts = {key: part for key, part in state.items() if key not in TIMES}
    return found | {"state.pt": digest(parts), "metrics.jsonl": digest(untimed)}


def measured(cfg: Config) -> dict[str, Any]:
    """The unbroken run, the kills, the comparison."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kill-") as place:
        data = Path(place, "data")
        make_data(data)
        whole, broken = (Run(cfg, data, Path(place, name)) for name in ("whole", "broken"))
        unbroken(whole)
        broken.start = whole.start
        where = [killed(broken, moment) for moment in plan(cfg)]
        unbroken(broken)
        one, other = outcome(whole.folder), outcome(broken.folder)
        left = [path.name for path in broken.temporary()]
    differ = sorted(name for name in one | other if one.get(name) != other.get(name))
    return {
        "script": f"train_{cfg.script}.py",
        "kills": len(where),
        "where": dict(Counter(place.split()[0] for place in where)),
        "moments": where,
        "compared": len(one),
        "weights_sha256": one["checkpoint/model.safetensors"],
        "differ": differ,
        "left": left,
        "equal": not differ and not left,
        "seconds": round(time.monotonic() - began, 1),
    }


def main(cfg: Config) -> None:
    """Measure, print, fail if they are not equal."""
    found = measured(cfg)
    print(json.dumps(found, indent=2))
    if not found["equal"]:
        raise SystemExit(1)


if __name__ == "__main__":
    run(main, Config)
