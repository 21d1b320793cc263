"""Pictures for the page: files, data URLs, and the colours of maps."""

import base64
import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

PAPER, ACCENT, DEEP = (np.array(c, np.float32) for c in (255, (222, 73, 20), (72, 14, 40)))
ACCENT_AT = 0.55  # where on the ramp paper has turned to the accent colour


def png(pixels: UInt8[np.ndarray, "h w *c"]) -> bytes:
    """A PNG file's bytes, quickly rather than small."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def url(pixels: UInt8[np.ndarray, "h w *c"]) -> str:
    """A PNG as data URL."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()


def jpeg(pixels: UInt8[np.ndarray, "h w 3"], side: int) -> str:
    """A picture to look at, its longer side at most `side` px, as data URL."""
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=2.0)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def ramp(level: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Paper, accent, dark, 0..255, as the level goes from 0 to 1."""
    stops = np.stack([np.full(3, PAPER), ACCENT, DEEP])
    pixels = [np.interp(level.clip(0, 1), (0, ACCENT_AT, 1), channel) for channel in stops.T]
    return np.stack(pixels, -1)
