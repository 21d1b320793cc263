"""The face finder, on a drawn face."""

from collections import OrderedDict

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tabs import face_finder


def drawn_face(size: int = 400, at: tuple[int, int] = (200, 200), radius: int = 110) -> np.ndarray:
    """A face of ellipses: skin, hair, brows, eyes, nose, mouth."""
    picture = Image.new("RGB", (size, size), (120, 140, 160))
    pen = ImageDraw.Draw(picture)
    x, y, r = *at, radius

    def spot(cx: float, cy: float, rx: float, ry: float, colour: tuple[int, int, int]) -> None:
        box = (x + (cx - rx) * r, y + (cy - ry) * r, x + (cx + rx) * r, y + (cy + ry) * r)
        pen.ellipse(box, fill=colour)

    spot(0, -0.15, 0.95, 1.2, (60, 40, 30))
    spot(0, 0.05, 0.8, 1.08, (225, 185, 160))
    for side in (-1, 1):
        spot(side * 0.36, -0.38, 0.24, 0.05, (70, 45, 35))
        spot(side * 0.36, -0.18, 0.22, 0.12, (150, 105, 90))
        spot(side * 0.36, -0.17, 0.17, 0.075, (245, 240, 235))
        spot(side * 0.36, -0.17, 0.075, 0.075, (40, 30, 25))
    spot(0, 0.12, 0.1, 0.3, (205, 160, 135))
    spot(0, 0.35, 0.18, 0.08, (170, 120, 100))
    spot(0, 0.62, 0.34, 0.1, (160, 70, 70))
    return np.array(picture.filter(ImageFilter.GaussianBlur(radius / 60)))


@pytest.mark.parametrize("radius", [60, 110, 150])
def test_the_eyes_of_a_drawn_face_are_found(radius):
    faces = face_finder.find(drawn_face(radius=radius))
    assert len(faces) == 1
    for eye, side in zip(faces[0][:2], (-1, 1), strict=True):
        expected = (200 + side * 0.36 * radius, 200 - 0.17 * radius)
        assert np.hypot(*(np.array(eye) - expected)) < 0.12 * radius


def test_eyes_are_found_at_any_resolution():
    small = face_finder.find(drawn_face())[0]
    large = np.asarray(Image.fromarray(drawn_face()).resize((1600, 1600)))
    found = face_finder.find(large)[0]
    np.testing.assert_allclose(found.left, np.array(small.left) * 4, atol=40)


def test_no_face_gives_an_empty_list():
    assert face_finder.find(np.full((300, 200, 3), 128, np.uint8)) == []
    noise = np.random.default_rng(0).integers(0, 256, (64, 500, 3), np.uint8)
    assert face_finder.find(noise) == []


def test_a_photo_is_searched_once_and_its_size_matters(monkeypatch):
    searched = []
    detect = face_finder._detect
    monkeypatch.setattr(face_finder, "_found", OrderedDict())
    monkeypatch.setattr(
        face_finder, "_detect", lambda *args: searched.append(args) or detect(*args)
    )
    photo = drawn_face()
    first = face_finder.find(photo)
    assert face_finder.find(photo.copy()) == first
    assert len(searched) == 1
    face_finder.find(photo[:-1])
    assert len(searched) == 2
    monkeypatch.setattr(face_finder, "MAX_CACHED", 1)
    face_finder.find(photo)
    assert len(face_finder._found) == 1
