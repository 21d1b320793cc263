"""Input of the Codes tab: its codebooks, pictures as their encoders take them, grids of codes."""

import io
import os
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tabs import face_photo, model_cache
from tabs.components import drawing_pad
from tabs.validation import check_choice, short_repr, uploaded_path, user_error

KINDS = ("digits", "sketches", "faces")
DRAWABLE = ("digits", "sketches")
CUSTOM = "own model"
CUSTOM_SOURCE = (
    "LATENT_STUDIO_VQ"  # environment variable: folder or Hub id of the VQModel of CUSTOM
)


def available_kinds() -> tuple[str, ...]:
    """The codebooks of this app: the released ones, and CUSTOM if it was started with a VQModel."""
    return KINDS + ((CUSTOM,) if os.environ.get(CUSTOM_SOURCE) else ())


def check_kind(kind: object) -> str:
    """`kind` if it is one of `available_kinds`; else an error for the visitor."""
    return check_choice(kind, "Kind", available_kinds())


def get_vqvae(kind: object):
    """The VQ-VAE of a kind, or for CUSTOM the VQModel that the app was started with."""
    if check_kind(kind) == CUSTOM:
        return _load_custom(os.environ[CUSTOM_SOURCE])
    return model_cache.get_model(f"codes-{kind}")


@cache
def _load_custom(source: str):
    from models import checkpoint
    from models.codes import pretrained

    try:
        return pretrained.load(Path(source) if Path(source).is_dir() else source)
    except checkpoint.CheckpointError as error:
        raise user_error(str(error)) from error


def get_prior(kind: object):
    """The prior over the codes of a kind."""
    if check_kind(kind) == CUSTOM:
        raise user_error(f"There is no prior for this model: choose one of {', '.join(KINDS)}.")
    return model_cache.get_model(f"prior-{kind}")


def read_image(picture: object, kind: str):
    """An uploaded picture or a drawing as a tensor (1, c, h, w) in [0, 1].

    A picture of exactly the network's size is not resampled; digits on light are inverted.
    """
    config = get_vqvae(kind).config
    if isinstance(picture, dict) and "path" in picture:
        return _read_file(uploaded_path(picture), kind, config.image_size, original=picture)
    if isinstance(picture, str):
        url = drawing_pad.decode_url(picture, drawing_pad.MAX_URL)
        return _read_file(url, kind, config.image_size, original=picture)
    if config.channels == 3:
        raise user_error("Send a photo: neither faces nor photographs can be drawn here.")
    return _from_drawing(picture, kind)


def _read_file(file: Path | io.BytesIO, kind: str, size: int, original: object):
    import torch

    from models import images

    try:
        image = images.flatten(images.read_picture(file, images.MAX_PHOTO, full_size=True))
    except ValueError as error:
        raise user_error(str(error)) from error
    exact = image.size == (size, size)
    if get_vqvae(kind).config.channels == 3:
        if not exact:
            return crop_photo(np.array(image.convert("RGB")), size, find=kind == "faces")
        return images.to_rgb(np.array(image.convert("RGB"))[None])
    if not exact:
        return _from_drawing(original, kind)
    grey = images.to_ink(np.array(image.convert("L")))
    edge = torch.cat([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).mean()
    return (grey if edge < 0.5 else 1 - grey)[None, None]


def crop_photo(pixels: UInt8[np.ndarray, "h w 3"], size: int, *, find: bool):
    """(1, 3, size, size): the largest face in CelebA's alignment if `find`, else the middle."""
    import torch

    from models import face_alignment

    transform, _ = face_photo.find_face(pixels) if find else (None, 0)
    if transform is not None:
        return face_alignment.crop(
            Image.fromarray(pixels), face_alignment.SimilarityTransform(*transform), size
        )[None]
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    square = Image.fromarray(pixels[top : top + side, left : left + side])
    small = np.array(square.resize((size, size), Image.Resampling.LANCZOS))
    return torch.from_numpy(small).permute(2, 0, 1)[None].float() / 255


def _from_drawing(drawing: object, kind: str):
    """A drawing or picture of one, (1, 1, h, w), as the codebook of `kind` knows them."""
    import torch

    parse = drawing_pad.parse_digit if kind == "digits" else drawing_pad.parse_drawing
    return torch.from_numpy(parse(drawing))[None, None]


def parse_grid(value: object, name: str, kind: str, *, allow_masked: bool = False):
    """A list of rows of codes as a tensor (grid_size, grid_size); -1 as well if `allow_masked`."""
    import torch

    config = get_vqvae(kind).config
    low, side = -1 if allow_masked else 0, config.grid_size
    rows = value if isinstance(value, list) else []
    width = len(rows[0]) if rows and isinstance(rows[0], list) else 0
    if not 1 <= len(rows) <= 256 or not 1 <= width <= 256:
        raise user_error(f"{name} must be a list of rows of codes, [[0, 1, ...], ...].")
    for row in rows:
        if not isinstance(row, list) or len(row) != width:
            raise user_error(f"{name} must have rows of one length.")
        for code in row:
            whole = isinstance(code, int) and not isinstance(code, bool)
            if not whole or not low <= code < config.num_codes:
                raise user_error(
                    f"{name} must hold whole numbers from {low} to {config.num_codes - 1}, "
                    f"not {short_repr(code)}."
                )
    if (len(rows), width) != (side, side):
        raise user_error(f"{name} must be {side}x{side} codes for {kind}, not {width}x{len(rows)}.")
    return torch.tensor(rows)
