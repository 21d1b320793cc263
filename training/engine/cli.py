"""Entry of the scripts: command line, recipes, errors as one sentence, memory allocator."""

import argparse
import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import torch
import tyro

ALLOCATOR = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
)


def restart_with_fast_allocator() -> None:
    """Restart Python with glibc set to keep freed memory: 61,000 fewer page faults a training step.

    glibc reads the setting when a process starts. No effect where it is set already, or off Linux.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = ALLOCATOR
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def parse(config: Any, recipes: Mapping[str, Any], args: Sequence[str]) -> Any:
    """The settings that a command line asks for: the defaults of `config`, overridden by flags.

    `--recipe NAME` starts from one of the `recipes` instead of from the defaults. A recipe is such
    settings, or a mapping from each `--kind` to its own.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    rest, description, default = list(args), None, None
    if recipes:
        parser.add_argument("--recipe", choices=recipes)
        options, rest = parser.parse_known_args(rest)
        default = recipes.get(options.recipe)
        if isinstance(default, Mapping):
            kinds = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
            kinds.add_argument("--kind", choices=default, default=next(iter(default)))
            default = default[kinds.parse_known_args(rest)[0].kind]
        names = ", ".join(recipes)
        description = f"{config.__doc__}\n\n--recipe NAME starts from a released one: {names}."
    return tyro.cli(config, args=rest, default=default, description=description)


def run_training(
    main: Callable[[Any], None], config: type, recipes: Mapping[str, Any] | None = None
) -> None:
    """A training script's last line: `run`, in a process with the fast allocator."""
    restart_with_fast_allocator()
    run(main, config, recipes)


def run(main: Callable[[Any], None], config: Any, recipes: Mapping[str, Any] | None = None) -> None:
    """A script's last line: read the command line, call `main`, print an error as one sentence."""
    try:
        main(parse(config, recipes or {}, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("stopped; start the same command again to resume")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def command(
    script: str, cfg: Any, recipes: Mapping[str, Any], ignored: Collection[str] = ()
) -> str:
    """The command that gives these settings: the nearest recipe, if any, and the flags that differ.

    Fields named in `ignored` (paths) are left out.
    """
    starts = {}
    for name, recipe in recipes.items():
        if isinstance(recipe, Mapping):
            starts |= {f"--kind {kind} --recipe {name}": each for kind, each in recipe.items()}
        else:
            starts[f"--recipe {name}"] = recipe
    starts[""] = type(cfg)()
    flags = {start: _flags(cfg, base, ignored) for start, base in starts.items()}
    nearest = min(flags, key=lambda start: len(flags[start]))
    return " ".join(["python", script, *filter(None, [nearest]), *flags[nearest]])


def _flags(cfg: Any, base: Any, ignored: Collection[str], prefix: str = "") -> list[str]:
    """Tyro's flags and then its subcommands that turn the settings `base` into `cfg`."""
    flags, subcommands = [], []
    hints = get_type_hints(type(cfg))
    for field in fields(cfg):
        value, default = getattr(cfg, field.name), getattr(base, field.name)
        key = field.name.replace("_", "-")
        name = prefix + key
        if field.name in ignored or value == default:
            continue
        if _is_choice(hints[field.name]):
            subcommands.append(f"{name}:{_subcommand(type(value))}")
            if is_dataclass(value):
                start = default if type(default) is type(value) else type(value)()
                subcommands += _flags(value, start, (), f"{name}.")
        elif is_dataclass(value):
            flags += _flags(value, default, (), f"{name}.")
        elif isinstance(value, bool):
            flags.append(f"--{name}" if value else f"--{prefix}no-{key}")
        else:
            values = value if isinstance(value, tuple) else [value]
            flags.append(shlex.join([f"--{name}", *map(str, values)]))
    return flags + subcommands


def _is_choice(hint: Any) -> bool:
    """Whether a field of this type is a choice with dataclasses in it: tyro's subcommands."""
    return get_origin(hint) in (Union, UnionType) and any(map(is_dataclass, get_args(hint)))


def _subcommand(choice: type) -> str:
    """Tyro's name of one of the types of a choice: VAEConfig is vae-config."""
    if choice is NoneType:
        return "none"
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", choice.__name__).lower()


def hardware() -> str:
    """What this runs on, for a model's card."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} CPU cores"
