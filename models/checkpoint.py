"""Strict save and load of a checkpoint folder: config.json, model.safetensors, metrics and card.

A folder is not trusted: the weights must have the SHA-256 that config.json states, the config must
be the one that the weights were saved with, and only this project's classes are built.
"""

import contextlib
import hashlib
import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from models import hub
from models.hub import CheckpointError
from models.synced_files import cause_and_cure, open_synced

ROOT = Path(__file__).resolve().parent.parent / "checkpoints"
MODULES = {
    "sketch": "models.sketch.model",
    "inpaint": "models.inpaint.model",
    "codes": "models.codes.vqvae",
    "prior": "models.codes.prior",
    "classifier": "models.classifiers",
    "digits": "models.digits.families",
    "faces": "models.faces.model",
}  # the kind of a checkpoint (its name's first word, or "classifier") -> module with its MODELS
CONFIG, WEIGHTS, BACKUP = "config.json", "model.safetensors", "model.safetensors.old"


def save(
    folder: Path,
    model: nn.Module,
    metrics: Mapping[str, Any] | None = None,
    card: str | None = None,
) -> None:
    """Write `model` in half precision; integers stay as they are.

    Whatever interrupts it, full disk or kill -9, the folder can be loaded: as before, or as saved.
    """
    description = {"model": type(model).__name__, "config": asdict(model.config)}
    metadata = {"description": json.dumps(description)}
    weights = safetensors.torch.save(_half_state_dict(model), metadata)
    description["sha256"] = hashlib.sha256(weights).hexdigest()
    files = {WEIGHTS: weights, CONFIG: _json(description)}
    if metrics is not None:
        files["metrics.json"] = _json(metrics)
    if card is not None:
        files["README.md"] = card.encode()
    write(folder, files)


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace files of a checkpoint folder; all are on the disk before the first is renamed.

    The old weights are kept as a backup until the config.json with their SHA-256 is replaced too.
    """
    temporary = {name: folder / f".{name}.tmp" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            with open_synced(temporary[name]) as file:
                file.write(data)
        if WEIGHTS in files and _verified(folder, WEIGHTS):
            (folder / WEIGHTS).replace(folder / BACKUP)
        for name, path in temporary.items():
            path.replace(folder / name)
        if WEIGHTS in files:
            (folder / BACKUP).unlink(missing_ok=True)
    except OSError as error:
        for path in temporary.values():
            with contextlib.suppress(OSError):
                path.unlink()
        size = sum(map(len, files.values()))
        cause, cure = cause_and_cure(error)
        raise CheckpointError(
            f"cannot save {size:,} bytes in {folder}: {cause}; {cure} and save again "
            "(what was saved there before is untouched)"
        ) from error


def load(name: str | Path, root: Path = ROOT, repo: str | None = None) -> nn.Module:
    """The model `root/name`, or the one in the folder if `name` is a Path: float32, eval mode.

    A name that is not in `root` is fetched by `hub.pull`; with `repo`, always.
    """
    folder = locate(name, root, repo)
    try:
        return _load(folder, kind_of(folder.name))
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}; restore the folder, or train again") from error


def locate(name: str | Path, root: Path = ROOT, repo: str | None = None) -> Path:
    """The folder of the checkpoint that `load` takes, with whatever else is kept beside it.

    FileNotFoundError where there is none.
    """
    if isinstance(name, str) and not re.fullmatch("[a-z0-9-]{1,64}", name):
        raise CheckpointError(
            f"{name[:80]!r} is no checkpoint's name: give small letters, digits and hyphens, such "
            "as 'sketch', or a folder as a pathlib.Path"
        )
    folder = root / name if isinstance(name, str) else name
    kind = kind_of(folder.name)
    here = (folder / CONFIG).is_file() and repo is None
    if not here and isinstance(name, str) and kind in MODULES:
        folder = hub.pull(name, root, repo) or folder
    if not (folder / CONFIG).is_file():
        cure = "train it (docs/training.md has the command of each), or fetch a published one by "
        cure += "setting LATENT_STUDIO_REPO=OWNER/NAME"
        if kind not in MODULES:
            cure = f"a checkpoint's name holds {' or '.join(map(repr, MODULES))}"
        raise FileNotFoundError(f"no checkpoint in {folder}: {cure}")
    return folder


def kind_of(name: str) -> str:
    """The key of `MODULES` for a checkpoint's name: `prior-faces` -> `prior`.

    Any classifier's is `classifier`: `sketch-classifier`, `digit-classifier`.
    """
    words = name.split("-")
    return "classifier" if "classifier" in words else words[0]


def _load(folder: Path, kind: str) -> nn.Module:
    description = _description(folder)
    data = _verified(folder, WEIGHTS) or _verified(folder, BACKUP)
    if data is None:
        here = folder / WEIGHTS
        found = f"{here.stat().st_size:,} bytes of another content" if here.exists() else "no file"
        raise CheckpointError(
            f"{WEIGHTS} must have the SHA-256 {str(description['sha256'])[:12]}... that {CONFIG} "
            f"states, but there is {found}: it is incomplete or altered"
        )
    try:
        tensors = safetensors.torch.load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        saved = json.loads(header["__metadata__"]["description"])
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{WEIGHTS} is damaged: {error!r}") from error
    del description["sha256"]
    if saved != description:
        raise CheckpointError(f"{CONFIG} is not the one that {WEIGHTS} was saved with")
    model = _build(_class(description["model"], kind), description["config"])
    _fill(model, tensors)
    return model.eval()


def _description(folder: Path) -> dict[str, Any]:
    """The content of config.json; CheckpointError unless it has exactly its three entries."""
    try:
        description = json.loads((folder / CONFIG).read_bytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{CONFIG} is not JSON: {error}") from error
    entries = sorted(description) if isinstance(description, dict) else type(description).__name__
    if entries != ["config", "model", "sha256"] or not isinstance(description["config"], dict):
        raise CheckpointError(
            f"{CONFIG} must be an object of config (an object), model and sha256, got {entries}"
        )
    return description


def _verified(folder: Path, name: str) -> bytes | None:
    """The content of a weights file if it has the SHA-256 that config.json states, else None."""
    try:
        data = (folder / name).read_bytes()
        return data if _description(folder)["sha256"] == hashlib.sha256(data).hexdigest() else None
    except (CheckpointError, FileNotFoundError):
        return None


def _class(name: str, kind: str) -> type[nn.Module]:
    """One of the project's model classes, of any kind where the folder's name tells none."""
    modules = [MODULES[kind]] if kind in MODULES else MODULES.values()
    classes = [cls for module in modules for cls in importlib.import_module(module).MODELS]
    for cls in classes:
        if cls.__name__ == name:
            return cls
    known = ", ".join(cls.__name__ for cls in classes)
    raise CheckpointError(f"{CONFIG} names the model {name!r}, but there is only {known}")


def _build(cls: type[nn.Module], config: Mapping[str, Any]) -> nn.Module:
    """The network with random weights; the global random state is left unchanged."""
    known = {field.name for field in fields(cls.config_class)}
    if unknown := sorted(config.keys() - known):
        raise CheckpointError(f"{CONFIG} has keys that {cls.__name__} does not know: {unknown}")
    values = {key: _tuples(value) for key, value in config.items()}
    try:
        with torch.random.fork_rng(devices=[]):
            return cls(cls.config_class(**values)).float()
    except Exception as error:  # a wrong value may fail anywhere in the network
        raise CheckpointError(
            f"{CONFIG} has a value that {cls.__name__} refuses: {error}"
        ) from error


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples of a frozen config."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _half_state_dict(model: nn.Module) -> dict[str, Tensor]:
    """The state to save: contiguous copies on the CPU, floating ones in half precision."""
    state = {}
    for name, tensor in model.state_dict().items():
        dtype = torch.float16 if tensor.is_floating_point() else tensor.dtype
        half = tensor.detach().to("cpu", dtype, copy=True, memory_format=torch.contiguous_format)
        if not half.isfinite().all():
            worst = tensor.abs().max().item()
            raise CheckpointError(
                f"{name} cannot be saved in half precision: its largest magnitude is {worst:g}, "
                "and only finite values to 65,504 fit; go back to an earlier state"
            )
        state[name] = half
    return state


def _fill(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the saved tensors into the model; names, shapes and types must be equal."""
    expected = {
        name: _signature(tensor, saved=False) for name, tensor in model.state_dict().items()
    }
    found = {name: _signature(tensor) for name, tensor in tensors.items()}
    if expected != found:
        names = [n for n in expected | found if expected.get(n) != found.get(n)]
        first = names[0]
        raise CheckpointError(
            f"{WEIGHTS} does not fit {type(model).__name__}: {first} must be "
            f"{expected.get(first, 'absent')}, got {found.get(first, 'nothing')} "
            f"({len(names)} of {len(expected)} tensors differ)"
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"{WEIGHTS} has values that are not finite in {name}")
    model.load_state_dict(dict(tensors), strict=True)


def _signature(tensor: Tensor, *, saved: bool = True) -> str:
    """Shape and type, such as `(3, 4) float16`; for a model's tensor, what it is saved as."""
    dtype = tensor.dtype if saved or not tensor.is_floating_point() else torch.float16
    return f"{tuple(tensor.shape)} {str(dtype).removeprefix('torch.')}"


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
