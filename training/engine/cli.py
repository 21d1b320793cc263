"""What every training script does at its start and its end: allocator, command line, errors."""

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import tyro

ALLOCATOR = (
    "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=4294967296:"
    "glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
)


def restart_with_fast_allocator() -> None:
    """Start Python again with glibc kept from giving memory back: 61,000 page faults a step less.

    The setting counts only before the process starts. Does nothing where it is set, or off Linux.
    """
    if sys.platform == "linux" and "GLIBC_TUNABLES" not in os.environ:
        os.environ["GLIBC_TUNABLES"] = ALLOCATOR
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def parse(config: type, recipes: Mapping[str, Any], args: Sequence[str]) -> Any:
    """The settings that a command line asks for: the defaults of `config`, overridden by flags.

    `--recipe NAME` starts from one of the `recipes` instead of from the defaults.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    rest, description, default = list(args), None, None
    if recipes:
        parser.add_argument("--recipe", choices=recipes)
        options, rest = parser.parse_known_args(rest)
        default = recipes.get(options.recipe)
        names = ", ".join(recipes)
        description = f"{config.__doc__}\n\n--recipe NAME starts from a released one: {names}."
    return tyro.cli(config, args=rest, default=default, description=description)


def run(
    main: Callable[[Any], None], config: type, recipes: Mapping[str, Any] | None = None
) -> None:
    """A script's last line: fast allocator, command line, and an error as one sentence."""
    restart_with_fast_allocator()
    try:
        main(parse(config, recipes or {}, sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("stopped; start the same command again to go on")
    except (OSError, ValueError, RuntimeError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def has_fast_bfloat16() -> bool:
    """Whether autocast to bfloat16 pays on this machine (AVX-512 BF16, AMX, or CUDA)."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


def hardware() -> str:
    """What this runs on, for a model's card."""
    if torch.cuda.is_available():
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    return f"{os.cpu_count()} CPU cores"
