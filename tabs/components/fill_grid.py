"""The fills of a face, row by row, and a comparison with the photo."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY = {"rows": [], "note": "Choose a face, then drag a rectangle over a part of it."}


class FillGrid(CustomHTML):
    """Rows of fills; the event `pick` sets `chosen` to [row, tile]."""

    asset, scripts = "fill_grid", ("dom", "studio", "fill_grid")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="results", **settings)
