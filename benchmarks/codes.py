"""Speed of the codes demo, for each codebook: `python benchmarks/codes.py`.

Median times of one edit (the tab's handler, pictures included) and of 16 samples, written into each
checkpoints/codes-KIND/metrics.json.
"""

import torch
from timing import ROOT, seconds

from models import checkpoint
from tabs.codes import handlers as codes
from tabs.codes.pictures import KINDS
from training.release import results_table

LINES = ("shift 1 0 wrap", "splice 3 x", "rotate 1", "negate", "undo")


def edit_ms(kind: str) -> float:
    """Milliseconds of one edit, mean of five kinds of edits on a board that has four edits."""
    board = codes.on_kind(kind)[0]
    for line in LINES[:-1]:
        board, _ = codes.on_edit(board | {"line": line})
    return 1e3 * seconds(lambda: [codes.on_edit(board | {"line": line}) for line in LINES], 9) / 5


def main() -> None:
    """Measure, print, write beside the weights."""
    for kind in KINDS:
        prior = checkpoint.load(f"prior-{kind}")
        speed = {
            "threads": torch.get_num_threads(),
            "edit_ms": edit_ms(kind),
            "sample_16_ms": 1e3 * seconds(lambda prior=prior: prior.sample(16, None), 5),
        }
        if prior.config.class_names:
            labelled = 1e3 * seconds(lambda prior=prior: prior.sample(16, 3), 5)
            speed["sample_16_labelled_ms"] = labelled
        folder = ROOT / "checkpoints" / f"codes-{kind}"
        results_table.record(folder, {"speed": speed})


if __name__ == "__main__":
    main()
