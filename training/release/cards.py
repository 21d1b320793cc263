"""The model card of a release, made of each checkpoint's own README.md and metrics.json."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from models import checkpoint

# Figures of a metrics.json for the card's metadata, by demo: path, metric type, metric name.
FIGURES = {
    "sketch": [
        ("completions.ours_label.top1", "accuracy", "top-1 accuracy of a classifier, label given"),
        (
            "completions.ours_label.frechet",
            "frechet",
            "Fréchet distance of features, label given",
        ),
        (
            "bound_nats.ours_any",
            "log-likelihood",
            "bound on log p(drawing | half), nats",
        ),
        ("spread.ours.diversity", "diversity", "mean pairwise 1 - IoU of added ink"),
    ],
    "inpaint": [
        ("hole.ours.small.psnr", "psnr", "PSNR in holes of 2-5 %, dB"),
        ("hole.ours.large.psnr", "psnr", "PSNR in holes of 8-14 %, dB"),
        ("hole.ours.large.ssim", "ssim", "SSIM in holes of 8-14 %"),
        ("hole.ours.large.frechet", "frechet", "Fréchet distance, holes of 8-14 %"),
    ],
    "classifier": [("accuracy", "accuracy", "accuracy on real data")],
    "codes": [
        ("reconstruction.psnr", "psnr", "PSNR of reconstructions, dB"),
        ("perplexity_over_k", "perplexity", "code perplexity / number of codes"),
        ("nats_per_code.prior", "cross-entropy", "negative log-likelihood of the prior, nats/code"),
        ("samples.class_accuracy", "accuracy", "class accuracy of the prior's samples"),
    ],
}
DATA = {
    "celeba": "CelebA",
    "faces": "CelebA",
    "quickdraw": "Quick, Draw!",
    "sketches": "Quick, Draw!",
    "digits": "MNIST",
}  # tag of a checkpoint's card -> data set
LIMITS = """Small research models of 28 to 128 px. Their samples follow their data and inherit its
biases: CelebA shows celebrities, most of them young and of light skin. A generated picture is no
evidence of what a hidden part showed, and no figure here holds for other data."""


def release_card(repo_id: str, folders: list[Path], samples: list[str]) -> str:
    """README.md of the repository: metadata, provenance, samples, all cards."""
    cards = {folder.name: ModelCard.load(folder / "README.md") for folder in folders}
    licences = {(card.data.license, card.data.get("license_name")) for card in cards.values()}
    licence, licence_name = max(licences, key=lambda pair: (pair[0] == "other", str(pair)))
    data = ModelCardData(
        license=licence,  # the strictest of all; each folder's README.md states its own
        license_name=licence_name,
        library_name="pytorch",
        tags=sorted({"latent-studio", *(tag for card in cards.values() for tag in card.data.tags)}),
        model_name=repo_id.split("/")[-1],
        eval_results=[r for folder in folders for r in results(folder, cards[folder.name])] or None,
    )
    rows = "\n".join(provenance(folder, cards[folder.name]) for folder in folders)
    parts = [section(name, card.text) for name, card in cards.items()]
    shown = " ".join(f"![samples of these models]({path})" for path in samples)
    text = f"""# Latent Studio

Small latent-variable models, one folder each, in half precision, to be loaded with the code that
made them:

```python
from models import checkpoint

model = checkpoint.load("{folders[0].name}", repo="{repo_id}")
```

## Provenance

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
    """The figures of a checkpoint's metrics.json for the Hub's metadata."""
    path = folder / "metrics.json"
    measured = json.loads(path.read_bytes()) if path.exists() else {}
    key = next((tag for tag in card.data.tags if tag in DATA), "other")
    found = []
    for place, metric, words in FIGURES.get(checkpoint.kind_of(folder.name), []):
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
    """A row of the table: licence, command, seed, commit and hardware, where known."""
    command = _match(card, r"Command: `([^`]*)`")
    seed = re.search(r"--seed (\d+)", command)
    cells = [
        f"[{folder.name}]({folder.name}/README.md)",
        card.data.get("license_name") or card.data.license,
        f"`{command}`",
        seed[1] if seed else "default",
        commit(folder / "model.safetensors")[:12],
        _match(card, r"Hardware: (.*)\."),
    ]
    return f"| {' | '.join(cells)} |"


def _match(card: ModelCard, pattern: str) -> str:
    found = re.search(pattern, card.text)
    return found[1] if found else "not recorded"


def commit(path: Path) -> str:
    """The commit with this content of a file; "uncommitted" or "unknown" where there is none."""
    git = ["git", "-C", str(path.parent)]
    commands = (["status", "--porcelain"], ["log", "-1", "--format=%H"])
    try:
        changed, last = (
            subprocess.run(
                [*git, *command, "--", path.name], capture_output=True, check=True
            ).stdout
            for command in commands
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return "uncommitted" if changed or not last else last.decode().strip()


def section(name: str, text: str) -> str:
    """A checkpoint's own card under a second-level title."""
    body = re.sub(r"^# .*\n", "", text.strip(), count=1)
    return f"\n## {name}\n\n{body.strip()}\n"
