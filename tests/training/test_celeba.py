"""The reader of CelebA, on pictures drawn here."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

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
    assert "1 photographs are 64x64 px" in caplog.text


def test_malformed_lines_are_counted_and_skipped(folder, caplog):
    path = folder / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("000001.jpg 0", "000001.jpg 0 0") + "\nrubbish\n")
    with caplog.at_level(logging.WARNING):
        assert len(celeba.load(folder, "train").images) == 5
    assert "1 malformed lines" in caplog.text


def test_missing_files_are_named_with_the_cure(folder):
    (folder / "list_eval_partition.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"list_eval_partition\.txt .* CelebA page"):
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


def rewrite(folder: Path, name: str, change: Callable[[str], str]) -> None:
    (folder / name).write_text(change((folder / name).read_text()))


def commas(text: str) -> str:
    return "\n".join(",".join(line.split()) for line in text.splitlines())


def with_header(text: str) -> str:
    return text.replace(",".join(NAMES), ",".join(("image_id", *NAMES)))


FORMS: dict[str, Callable[[Path], object]] = {
    "commas": lambda f: [rewrite(f, name, commas) for name in celeba.FILES],
    "a byte order mark": lambda f: [
        (f / name).write_text((f / name).read_text(), encoding="utf-8-sig") for name in celeba.FILES
    ],
    "Windows line ends": lambda f: [
        (f / name).write_bytes((f / name).read_bytes().replace(b"\n", b"\r\n"))
        for name in celeba.FILES
    ],
    "no count": lambda f: rewrite(f, ATTRIBUTES, lambda text: text.split("\n", 1)[1]),
    "csv with a name of its first column": lambda f: [
        (rewrite(f, name, lambda t: with_header(commas(t))), (f / name).rename(csv(f, name)))
        for name in celeba.FILES
    ],
    "floats": lambda f: rewrite(f, ATTRIBUTES, lambda t: re.sub(r" (-?1)\b", r" \1.0", t)),
    "plus signs": lambda f: rewrite(f, ATTRIBUTES, lambda t: re.sub(r" 1\b", " +1", t)),
    "words": lambda f: rewrite(
        f, ATTRIBUTES, lambda t: re.sub(r" 1\b", " True", re.sub(r" -1\b", " False", t))
    ),
    "zeros": lambda f: rewrite(f, ATTRIBUTES, lambda t: re.sub(r" -1\b", " 0", t)),
    "a doubled folder of photographs": lambda f: double(f),
    "all in a folder of its name": lambda f: into_folder(f),
    "PNG photographs": lambda f: [
        (Image.open(photo).save(photo.with_suffix(".png")), photo.unlink())
        for photo in list((f / celeba.PHOTOS).iterdir())
    ],
}
ATTRIBUTES = "list_attr_celeba.txt"


def csv(folder: Path, name: str) -> Path:
    return (folder / name).with_suffix(".csv")


def double(folder: Path) -> None:
    (folder / celeba.PHOTOS).rename(folder / "moved")
    (folder / celeba.PHOTOS).mkdir()
    (folder / "moved").rename(folder / celeba.PHOTOS / celeba.PHOTOS)


def into_folder(folder: Path) -> None:
    inner = folder / "celeba"
    inner.mkdir()
    for path in [*folder.iterdir()]:
        if path != inner:
            path.rename(inner / path.name)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_which_it_circulates_is_read_alike(folder, form):
    expected = celeba.load(folder, "train")
    FORMS[form](folder)
    found = celeba.load(folder, "train")
    assert found.names == expected.names
    np.testing.assert_array_equal(found.attributes, expected.attributes)
    np.testing.assert_array_equal(found.identity, expected.identity)
    np.testing.assert_array_equal(found.images, expected.images)


def test_without_the_list_of_identities_nobody_is_known(folder, caplog):
    (folder / celeba.OPTIONAL).unlink()
    with caplog.at_level(logging.WARNING):
        faces = celeba.load(folder, "train")
    assert faces.identity.tolist() == 6 * [-1]
    assert "nothing is known of who is who" in caplog.text


@pytest.mark.parametrize("value", ["2", "nan", "maybe", "-"])
def test_a_value_that_is_neither_true_nor_false_is_refused(folder, value):
    text = (folder / ATTRIBUTES).read_text().replace("000002.jpg 1", f"000002.jpg {value}")
    (folder / ATTRIBUTES).write_text(text)
    message = rf"000002\.jpg has the value '{value}' of Eyeglasses, which is neither 1 nor -1"
    with pytest.raises(ValueError, match=message):
        celeba.load(folder, "train")


@pytest.mark.parametrize("value", ["1", "-1"])
def test_an_attribute_that_never_changes_is_refused(tmp_path, value):
    folder = write_celeba(tmp_path / "celeba", celeba.MIN_ROWS)
    text = (folder / ATTRIBUTES).read_text()
    (folder / ATTRIBUTES).write_text(re.sub(r"(jpg +\S+ +)\S+", rf"\g<1>{value}", text))
    with pytest.raises(ValueError, match=r"Male \(1 of 4 attributes\) never change"):
        celeba.load(folder, "train")


@pytest.mark.parametrize("size", [(64, 64), (1024, 1024)])
def test_photographs_that_are_cut_otherwise_are_refused_with_their_size(folder, size):
    for photo in (folder / celeba.PHOTOS).iterdir():
        Image.new("RGB", size).save(photo)
    message = f"6 photographs are {size[0]}x{size[1]} px .*, not 178x218: CelebA-HQ"
    with pytest.raises(ValueError, match=message):
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
