"""Short films of faces, as animated WebP and GIF."""

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from tabs.faces.portraits import to_pixels

FRAME_MS = 90


def encode(frames: Sequence[Any], format: str) -> bytes:
    """Frames (3, h, w) in [0, 1], there and back, without end; `format` is WEBP or GIF."""
    pictures = [Image.fromarray(to_pixels(frame)) for frame in frames]
    pictures += pictures[-2:0:-1]
    file = io.BytesIO()
    settings = {"quality": 85, "method": 0} if format == "WEBP" else {}
    pictures[0].save(
        file, format, save_all=True, append_images=pictures[1:], duration=FRAME_MS, loop=0,
        **settings,
    )  # fmt: skip
    return file.getvalue()


def url(frames: Sequence[Any], format: str = "WEBP") -> str:
    """The film as a data URL."""
    data = base64.b64encode(encode(frames, format)).decode()
    return f"data:image/{format.lower()};base64,{data}"


def downloads(frames: Sequence[Any], name: str) -> str:
    """HTML: links that save the film."""
    links = [
        f'<a download="{name}.{kind.lower()}" href="{url(frames, kind)}">Save as {kind}</a>'
        for kind in ("WEBP", "GIF")
    ]
    return " &middot; ".join(links)
