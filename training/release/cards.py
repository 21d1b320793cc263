"""The card of a release, made of each checkpoint's own README.md and metrics.json."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

# What of a stem's metrics.json goes into the card's metadata: the place, the metric, in words.
FIGURES = {
    "sketch": [
        ("judged.ours_label.top1", "accuracy", "top-1 of the judge, label known"),
        ("judged.ours_label.frechet", "frechet", "Fréchet distance in the judge's features"),
        ("bound_nats.ours_any", "log-likelihood", "log p(whole given half) is at least, nats"),
        ("spread.ours.diversity", "diversity", "mean pairwise 1 - IoU of added ink"),
    ],
    "inpaint": [
        ("in_the_hole.ours.small.psnr", "psnr", "PSNR in holes of 2-5 %, dB"),
        ("in_the_hole.ours.large.psnr", "psnr", "PSNR in holes of 8-14 %, dB"),
        ("in_the_hole.ours.large.ssim", "ssim", "SSIM in holes of 8-14 %"),
        ("in_the_hole.ours.large.frechet", "frechet", "Fréchet distance, holes of 8-14 %"),
    ],
    "codes": [
        ("reconstruction.psnr", "psnr", "PSNR of pictures decoded from their codes, dB"),
        ("perplexity_over_k", "perplexity", "perplexity of the codes in use, over their number"),
        ("nats_per_code.prior", "cross-entropy", "the prior's nats a code"),
        ("samples.read_as_asked", "accuracy", "the prior's samples read as the class asked for"),
    ],
}
DATA = {
    "celeba": "CelebA",
    "faces": "CelebA",
    "quickdraw": "Quick, Draw!",
    "sketches": "Quick, Draw!",
    "digits": "MNIST",
}  # a tag of a checkpoint's card -> its data
LIMITS = """Small research models of 28 to 128 px. They draw in the manner of their data and inherit
its prejudices: CelebA shows celebrities, most of them young and of light skin. Nothing that they
make is evidence of what was there, and no figure here says anything about other data."""


def release_card(repo_id: str, folders: list[Path], samples: list[str]) -> str:
    """README.md of the repository: metadata, what made each checkpoint, its own card, samples."""
    cards = {folder.name: ModelCard.load(folder / "README.md") for folder in folders}
    licences = {(card.data.license, card.data.get("license_name")) for card in cards.values()}
    licence, licence_name = max(licences, key=lambda pair: (pair[0] == "other", str(pair)))
    data = ModelCardData(
        license=licence,  # the strictest: each folder's own stands in its README.md
        license_name=licence_name,
        library_name="pytorch",
        tags=sorted({"latent-studio", *(tag for card in cards.values() for tag in card.data.tags)}),
        model_name=repo_id.split("/")[-1],
        eval_results=[r for folder in folders for r in results(folder, cards[folder.name])] or None,
    )
    rows = "\n".join(provenance(folder, cards[folder.name]) for folder in folders)
    parts = [section(name, card.text) for name, card in cards.items()]
    shown = " ".join(f"![made by these models]({path})" for path in samples)
    text = f"""# Latent Studio

Small latent-variable models to see and touch; a folder each, in half precision, to be loaded with
the code that made them:

```python
from models import checkpoint

model = checkpoint.load("{folders[0].name}", repo="{repo_id}")
```

## What made them

| checkpoint | licence | command | seed | commit | hardware |
|---|---|---|---|---|---|
{rows}

## Limits

{LIMITS}

{"## Samples" if shown else ""}

{shown}

{"".join(parts)}"""
    text = re.sub(r"\n{3,}", "\n\n", text)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def results(folder: Path, card: ModelCard) -> list[EvalResult]:
    """The figures of its metrics.json that are there, for the Hub's metadata."""
    path = folder / "metrics.json"
    measured = json.loads(path.read_bytes()) if path.exists() else {}
    key = next((tag for tag in card.data.tags if tag in DATA), "other")
    found = []
    for place, metric, words in FIGURES.get(folder.name.split("-")[0], []):
        value: Any = measured
        for part in place.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found.append(
                EvalResult(
                    task_type="image-to-image",
                    task_name=folder.name,
                    dataset_type=key,
                    dataset_name=DATA.get(key, key),
                    dataset_config=folder.name,
                    dataset_split=measured.get("split"),
                    metric_type=metric,
                    metric_name=words,
                    metric_value=float(f"{value:.6g}"),
                )
            )
    return found


def provenance(folder: Path, card: ModelCard) -> str:
    """A row of the table: licence, command, seed, commit and hardware, as far as they are known."""
    command = _said(card, r"Command: `([^`]*)`")
    seed = re.search(r"--seed (\d+)", command)
    cells = [
        f"[{folder.name}]({folder.name}/README.md)",
        card.data.get("license_name") or card.data.license,
        f"`{command}`",
        seed[1] if seed else "the script's own",
        commit(folder / "model.safetensors")[:12],
        _said(card, r"Hardware: (.*)\."),
    ]
    return f"| {' | '.join(cells)} |"


def _said(card: ModelCard, pattern: str) -> str:
    found = re.search(pattern, card.text)
    return found[1] if found else "not recorded"


def commit(path: Path) -> str:
    """The commit that brought this content of a file; words where there is none."""
    git = ["git", "-C", str(path.parent)]
    asked = (["status", "--porcelain"], ["log", "-1", "--format=%H"])
    try:
        changed, last = (
            subprocess.run([*git, *ask, "--", path.name], capture_output=True, check=True).stdout
            for ask in asked
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return "uncommitted" if changed or not last else last.decode().strip()


def section(name: str, text: str) -> str:
    """A checkpoint's own card, its title a level lower."""
    body = re.sub(r"^# .*\n", "", text.strip(), count=1)
    return f"\n## {name}\n\n{body.strip()}\n"
