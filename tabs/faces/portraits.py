"""The face that the sections of the Faces tab work on: one of our samples, or in a photo."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from PIL import Image

from tabs import face_photo, model_cache
from tabs.face_photo import FacePhoto
from tabs.image_encoding import png_url
from tabs.validation import MAX_SEED, check_number, get_key, uploaded_path, user_error

OURS, VAE, PLAIN = "faces", "faces-vae", "faces-plain"
MODELS = {"Ours": OURS, "Paunovic's VAE": VAE, "Hou's network": PLAIN}
SAMPLES = 16
MAX_TEMPERATURE = 1.5
PUBLISHED_SIZE = 64  # px of the published models' faces
START = {"seed": 1, "index": 0, "temperature": 0.8, "on": [], "off": []}


class Portrait(NamedTuple):
    """A face as our model gets it: (1, 3, s, s) in [0, 1]; its latent vector; its photo, if any."""

    image: Any
    z: Any
    photo: FacePhoto | None


def readable(name: str) -> str:
    """CelebA's name of an attribute as words: `Wavy_Hair` -> `wavy hair`."""
    return name.replace("_", " ").lower()


def names_of(words: Sequence[str], what: str, *, any_of: bool = True) -> list[str]:
    """CelebA's names of attributes that are given as words or as names.

    Of all attributes, or of those only that can be changed.
    """
    model = model_cache.get_model(OURS)
    names = model.directions.names if any_of else model.attributes
    known = {readable(name): name for name in names}
    found = []
    for word in words:
        name = known.get(readable(word)) if isinstance(word, str) else None
        if name is None:
            shown = repr(word)[:40] if isinstance(word, str) else f"a {type(word).__name__}"
            raise user_error(f"{what} {shown} is unknown. Choose one of: {', '.join(known)}.")
        found.append(name)
    return found


def conditions(on: object, off: object) -> dict[str, bool]:
    """What is asked of samples: the attributes that they must have, and must not have."""
    lists = [part if isinstance(part, list) else [] for part in (on, off)]
    having, lacking = (names_of(part, "Attribute") for part in lists)
    if both := set(having) & set(lacking):
        raise user_error(
            f"{readable(both.pop()).capitalize()} is asked for and excluded: drop one."
        )
    return dict.fromkeys(having, True) | dict.fromkeys(lacking, False)


def open_portrait(text: object) -> Portrait:
    """The face that the page names: JSON of a sample's settings, or of an uploaded photo's path."""
    try:
        described = json.loads(text) if isinstance(text, str) and text else START
    except ValueError:
        described = None
    if not isinstance(described, dict):
        raise user_error("Choose a face first.")
    if "photo" in described:
        return _from_photo(described)
    seed = check_number(described.get("seed"), "Seed", 0, MAX_SEED, whole=True)
    index = check_number(described.get("index"), "Sample", 0, SAMPLES - 1, whole=True)
    heat = check_number(described.get("temperature"), "Temperature", 0, MAX_TEMPERATURE)
    asked = conditions(described.get("on"), described.get("off"))
    model = model_cache.get_model(OURS)
    z = model.sample_latents(index + 1, asked, heat, seed)[index:]
    return Portrait(model.decode(z), z, None)


def _from_photo(described: dict) -> Portrait:
    path = uploaded_path({"path": described["photo"]}, face_photo.GONE)
    return crop_photo(path, described.get("eyes"))


def crop_photo(path: object, eyes: object = None) -> Portrait:
    """The face of a photo; `eyes` say where it is, else the largest one is found."""
    from models import face_alignment

    pixels = face_photo.load_photo(path)
    if eyes is not None:
        transform = face_photo.transform_from_eyes(eyes)
    else:
        transform, _ = face_photo.find_face(pixels)
    if transform is None:
        raise user_error("No face was found in this photo: send one with a face seen from ahead.")
    model = model_cache.get_model(OURS)
    placed = face_alignment.SimilarityTransform(*transform)
    image = face_alignment.crop(Image.fromarray(pixels), placed, model.config.image_size)[None]
    return Portrait(image, model.encode(image), FacePhoto(str(path), tuple(transform)))


def from_page(described: object) -> str:
    """A face of a link as the page keeps it; "" where it is not valid, or a photo."""
    try:
        found = json.loads(described) if isinstance(described, str) else None
        if get_key(found, "photo") is None and found is not None:
            open_portrait(described)
            return described
    except (ValueError, gr.Error):
        pass
    return ""


def to_pixels(image: Any) -> np.ndarray:
    """(3, h, w) in [0, 1] to (h, w, 3) bytes."""
    rounded = (image.clamp(0, 1) * 255).round().byte()
    return np.ascontiguousarray(rounded.permute(1, 2, 0).cpu().numpy())


def url(image: Any) -> str:
    """(3, h, w) in [0, 1] as a data URL."""
    return png_url(to_pixels(image))


def strip_url(images: Any) -> str:
    """(n, 3, h, w) in [0, 1] side by side as a data URL."""
    return png_url(np.concatenate([to_pixels(image) for image in images], 1))


def reduced(image: Any) -> Any:
    """Faces at the published models' size."""
    from torch.nn import functional as F

    return F.avg_pool2d(image, image.shape[-1] // PUBLISHED_SIZE)
