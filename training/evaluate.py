"""Measure a checkpoint on held-out data: `python training/evaluate.py sketch`, or another demo.

Writes the figures into the checkpoint's metrics.json and the results table that is made of them.
"""

from typing import Annotated

from tyro.conf import subcommand

from training.codes import evaluate as codes
from training.digits import evaluate as digits
from training.engine.cli import run
from training.faces import evaluate as faces
from training.inpaint import evaluate as inpaint
from training.sketch import evaluate as sketch

DEMOS = (sketch, inpaint, codes, digits, faces)
Config = (
    Annotated[sketch.Config, subcommand("sketch")]
    | Annotated[inpaint.Config, subcommand("inpaint")]
    | Annotated[codes.Config, subcommand("codes")]
    | Annotated[digits.Config, subcommand("digits")]
    | Annotated[faces.Config, subcommand("faces")]
)


def main(
    cfg: sketch.Config | inpaint.Config | codes.Config | digits.Config | faces.Config,
) -> None:
    """Evaluate the demo that the settings belong to."""
    demo = next(demo for demo in DEMOS if isinstance(cfg, demo.Config))
    demo.main(cfg)


if __name__ == "__main__":
    run(main, Config)
