"""Started by `accelerate launch`: the first step of train_codes.py or of train_codes_prior.py."""

import os
import sys
from pathlib import Path

from tests.codes.test_train import one_step

if __name__ == "__main__":
    stem, *folders = sys.argv[1:]
    one_step(stem, *map(Path, folders))
    os._exit(0)  # all is written; tearing down torch's threads may abort
