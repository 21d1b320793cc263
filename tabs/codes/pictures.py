"""Pictures of any kind as a codebook's encoder wants them, and codes as somebody sent them."""

import os
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from tabs import face_photo, model_cache
from tabs.components import drawing_pad
from tabs.validation import check_choice, short_repr, uploaded_path, user_error

KINDS = ("digits", "sketches", "faces")
OWN = "own model"
SOURCE = "LATENT_STUDIO_VQ"  # environment: a folder or Hub id of anyone's VQModel, for OWN
MAX_GRIDS = 64


def kinds() -> tuple[str, ...]:
    """The codebooks of this app: ours, and that of a VQModel if it was started with one."""
    return KINDS + ((OWN,) if os.environ.get(SOURCE) else ())


def known(kind: object) -> str:
    """One of `kinds`; anything else is refused."""
    return check_choice(kind, "Kind", kinds())


def model(kind: object):
    """The codebook of digits, sketches, faces, or the one that the app was started with."""
    if known(kind) == OWN:
        return _own(os.environ[SOURCE])
    return model_cache.get_model(f"codes-{kind}")


@cache
def _own(source: str):
    from models import checkpoint
    from models.codes import pretrained

    try:
        return pretrained.load(Path(source) if Path(source).is_dir() else source)
    except checkpoint.CheckpointError as error:
        raise user_error(str(error)) from error


def prior(kind: object):
    """What has learnt which codes go together."""
    if known(kind) == OWN:
        raise user_error("Nothing has learnt how the codes of this model go together.")
    return model_cache.get_model(f"prior-{kind}")


def read(picture: object, kind: str):
    """An uploaded picture or a drawing as a tensor (1, c, h, w) in [0, 1].

    A picture of exactly the network's size is taken as it is (digits: light on dark, else turned).
    """
    config = model(kind).config
    if isinstance(picture, dict) and "path" in picture:
        return _file(picture, kind, config.image_size)
    if config.channels == 3:
        raise user_error("Send a photo: neither faces nor photographs can be drawn here.")
    return _drawn(drawing_pad.parse_drawing(picture), kind)


def _file(picture: dict, kind: str, size: int):
    import torch

    from models import images

    path = uploaded_path(picture)
    try:
        opened = images.flatten(images.read_picture(path, images.MAX_PHOTO, full_size=True))
    except ValueError as error:
        raise user_error(str(error)) from error
    exact = opened.size == (size, size)
    if model(kind).config.channels == 3:
        if not exact:
            return photo(np.array(opened.convert("RGB")), size, find=kind == "faces")
        return images.to_rgb(np.array(opened.convert("RGB"))[None])
    if not exact:
        return _drawn(drawing_pad.parse_drawing(picture), kind)
    grey = images.to_ink(np.array(opened.convert("L")))
    edge = torch.cat([grey[0], grey[-1], grey[:, 0], grey[:, -1]]).mean()
    return (grey if edge < 0.5 else 1 - grey)[None, None]


def photo(pixels: UInt8[np.ndarray, "h w 3"], size: int, *, find: bool):
    """The largest face in CelebA's frame, if it is wanted and there; else the photo's middle."""
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


def _drawn(ink: Float[np.ndarray, "64 64"], kind: str):
    import torch

    from models import images

    drawn = torch.from_numpy(ink)
    return (images.ink_to_digit(drawn) if kind == "digits" else drawn)[None, None]


def grid(value: object, name: str, most: int, *, open_cells: bool = False):
    """A list of rows of codes 0..`most`-1 as a tensor (h, w); -1 as well if cells may be open."""
    import torch

    low = -1 if open_cells else 0
    rows = value if isinstance(value, list) else []
    width = len(rows[0]) if rows and isinstance(rows[0], list) else 0
    if not 1 <= len(rows) <= 256 or not 1 <= width <= 256:
        raise user_error(f"{name} must be a list of rows of codes, [[0, 1, ...], ...].")
    for row in rows:
        if not isinstance(row, list) or len(row) != width:
            raise user_error(f"{name} must have rows of one length.")
        for code in row:
            if not isinstance(code, int) or isinstance(code, bool) or not low <= code < most:
                raise user_error(
                    f"{name} must hold whole numbers from {low} to {most - 1}, "
                    f"not {short_repr(code)}."
                )
    return torch.tensor(rows)


def fitting(value: object, name: str, kind: str, **options):
    """`grid` for the codebook of a kind, of its shape."""
    config = model(kind).config
    codes = grid(value, name, config.num_codes, **options)
    if tuple(codes.shape) != (config.grid_size, config.grid_size):
        raise user_error(
            f"{name} must be {config.grid_size}x{config.grid_size} codes for {kind}, "
            f"not {codes.shape[1]}x{codes.shape[0]}."
        )
    return codes
