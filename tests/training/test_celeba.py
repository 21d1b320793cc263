"""The reader of CelebA, on pictures drawn here."""

import logging

import numpy as np
import pytest
import torch
from PIL import Image

from models.face_alignment import CROP_BOX
from tests.helpers.faces import NAMES, write_celeba
from training.data import celeba
from training.data.augment import augment


@pytest.fixture
def folder(tmp_path):
    return write_celeba(tmp_path / "celeba")


def test_every_face_comes_with_its_own_attributes_and_identity(folder):
    for split, first, count in (("train", 0, 6), ("valid", 6, 3), ("test", 9, 3)):
        faces = celeba.load(folder, split)
        assert faces.images.shape == (count, 128, 128, 3)
        for j, image in enumerate(faces.images):
            i = first + j
            assert abs(int(image[0, 0, 0]) - 20 * i) <= 3
            assert [bool(i >> bit & 1) for bit in range(4)] == faces.attributes[j].tolist()
            assert faces.identity[j] == 100 + i // 2
    male = celeba.load(folder, "train").column("Male")
    assert male.tolist() == [False, False, True, True, False, False]


def test_the_crop_is_the_stated_square(folder):
    photo = np.random.default_rng(0).integers(0, 256, (218, 178, 3), np.uint8)
    path = folder / celeba.PHOTOS / "000001.jpg"
    Image.fromarray(photo).save(path, quality=100, subsampling=0)
    left, top, side = CROP_BOX
    decoded = np.asarray(Image.open(path))[top : top + side, left : left + side]
    np.testing.assert_array_equal(celeba.load(folder, "train").images[0], decoded)


def test_the_cache_is_used_until_a_photograph_changes(folder, tmp_path):
    cache = tmp_path / "cache"
    first, again = (celeba.load(folder, "train", cache).images for _ in range(2))
    np.testing.assert_array_equal(first, again)
    noise = np.random.default_rng(1).integers(0, 256, (218, 178, 3), np.uint8)
    Image.fromarray(noise).save(folder / celeba.PHOTOS / "000001.jpg")
    assert (celeba.load(folder, "train", cache).images[0] != first[0]).any()


def test_a_subset_is_enough_and_broken_photographs_are_counted(folder, caplog):
    photos = folder / celeba.PHOTOS
    (photos / "000001.jpg").unlink()
    (photos / "000002.jpg").write_bytes((photos / "000003.jpg").read_bytes()[:200])
    Image.new("RGB", (64, 64)).save(photos / "000004.jpg")
    with caplog.at_level(logging.WARNING):
        faces = celeba.load(folder, "train")
    assert faces.identity.tolist() == [101, 102, 102]
    assert "5 of 6 train photographs" in caplog.text
    assert "2 unreadable photographs left out" in caplog.text


def test_malformed_lines_are_counted_and_skipped(folder, caplog):
    path = folder / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("000001.jpg 0", "000001.jpg 0 0") + "\nrubbish\n")
    with caplog.at_level(logging.WARNING):
        assert len(celeba.load(folder, "train").images) == 5
    assert "1 malformed lines" in caplog.text


def test_missing_files_are_named_with_the_cure(folder):
    (folder / "identity_CelebA.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"identity_CelebA\.txt .* CelebA page"):
        celeba.load(folder, "train")
    with pytest.raises(FileNotFoundError, match="img_align_celeba/"):
        celeba.load(folder / "nowhere", "train")


@pytest.mark.parametrize("damage", ["no rows", "other columns", "no photograph"])
def test_damaged_lists_are_one_sentence(folder, damage):
    path = folder / "list_attr_celeba.txt"
    if damage == "no rows":
        path.write_text("0\n\n")
    elif damage == "other columns":
        path.write_text(path.read_text().replace(" ".join(NAMES), "Male Young"))
    else:
        for photo in (folder / celeba.PHOTOS).iterdir():
            photo.unlink()
    with pytest.raises(ValueError, match=r"fetch (it again|more)"):
        celeba.load(folder, "train")


def test_an_unknown_attribute_is_refused(folder):
    with pytest.raises(ValueError, match=r"no attribute 'Happy': choose one of Eyeglasses, Male"):
        celeba.load(folder, "train").column("Happy")


def test_augmentation_shifts_a_face_and_changes_its_brightness():
    x = torch.linspace(0.3, 0.7, 64).expand(5, 3, 64, 64).contiguous()
    moved = [augment(x, np.random.default_rng(seed)) for seed in range(12)]
    for one in moved:
        assert one.shape == x.shape
        assert one.min() >= 0
        assert one.max() <= 1
        slope = (one[:, 0, :, 40] - one[:, 0, :, 20]) / (x[:, 0, :, 40] - x[:, 0, :, 20])
        torch.testing.assert_close(slope, slope[:, :1].expand(5, 64))  # a contrast, and rows alike
        assert ((slope >= 0.8499) & (slope <= 1.1501)).all()
    middles = torch.stack([one[:, 0, 32, 32] for one in moved])
    assert middles.std(0).min() > 0.02
    large = augment(x.repeat_interleave(2, 2).repeat_interleave(2, 3), np.random.default_rng(3))
    torch.testing.assert_close(large[:, :, ::2, ::2], augment(x, np.random.default_rng(3)))
