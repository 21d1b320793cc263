"""What torchvision is used for: picture grids, and the independent answer on MNIST's files."""

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.helpers.fake_datasets import write_mnist
from training.data import mnist
from training.engine.previews import save_ink_grid, save_rgb_grid
from training.engine.torchvision_import import import_torchvision


def test_it_is_imported_once_and_its_operators_are_declared():
    torchvision = import_torchvision()
    assert import_torchvision() is torchvision is sys.modules["torchvision"]
    assert torch.ops.torchvision.nms.default
    assert torch.ops.torchvision.qnms.default


def test_idx_files_are_read_as_torchvision_reads_them(tmp_path: Path):
    write_mnist(tmp_path, {"test": 30})
    raw = tmp_path / "MNIST" / "raw"
    read = import_torchvision().datasets.mnist.read_sn3_pascalvincent_tensor
    for kind in ("images-idx3", "labels-idx1"):
        path = raw / f"t10k-{kind}-ubyte.gz"
        packed = mnist.read_idx(path)
        (raw / "plain").write_bytes(gzip.decompress(path.read_bytes()))
        np.testing.assert_array_equal(packed, read(str(raw / "plain")).numpy())
        np.testing.assert_array_equal(packed, mnist.read_idx(raw / "plain"))


def test_a_grid_has_its_pictures_where_they_belong(tmp_path: Path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, 3, 5, 4, 3), np.uint8)  # row, column, height, width, rgb
    expected = pixels.transpose(0, 2, 1, 3, 4).reshape(10, 12, 3)
    rows = [torch.from_numpy(row).permute(0, 3, 1, 2) / 255 for row in pixels]
    save_rgb_grid(tmp_path / "rgb.png", rows)
    np.testing.assert_array_equal(Image.open(tmp_path / "rgb.png"), expected)
    ink = [torch.from_numpy(row[..., 0]) / 255 for row in pixels]
    save_ink_grid(tmp_path / "ink.png", ink, scale=2)
    expected = (255 - expected[..., :1]).repeat(2, 0).repeat(2, 1).repeat(3, 2)
    np.testing.assert_array_equal(Image.open(tmp_path / "ink.png"), expected)
