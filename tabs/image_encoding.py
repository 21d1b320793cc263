"""Pixels as files and data URLs."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def encode_png(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """A PNG file's bytes, compressed for speed rather than size."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def png_url(pixels: UInt8[np.ndarray, "h w *c"]) -> str:
    """A PNG as data URL."""
    return png_file_url(encode_png(pixels))


def png_file_url(file: bytes) -> str:
    """A PNG file's content as data URL."""
    return "data:image/png;base64," + base64.b64encode(file).decode()


def jpeg_url(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> str:
    """A JPEG as data URL, its longer side at most `side` px."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
