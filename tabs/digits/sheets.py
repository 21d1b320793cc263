"""Many digits in one picture, as components/sheet.js takes them apart."""

import numpy as np
from jaxtyping import UInt8

from tabs.image_encoding import png_url

SIDE = 28  # px, models.digits.base.SIDE


def sheet(pictures: UInt8[np.ndarray, "n 28 28"], columns: int) -> str:
    """Pictures side by side, `columns` in a row, as one PNG in a data URL."""
    rows = pictures.reshape(-1, columns, SIDE, SIDE).transpose(0, 2, 1, 3)
    return png_url(np.ascontiguousarray(rows.reshape(-1, columns * SIDE)))
