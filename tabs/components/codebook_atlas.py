"""Every code of a codebook as a picture."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY = {"kind": "", "sheet": "", "columns": 0, "rows": 0, "codes": [], "chosen": None}


class CodebookAtlas(CustomHTML):
    """A button for each code; the event `pick` sets `chosen` to a code."""

    asset, scripts = "codebook_atlas", ("dom", "codebook_atlas")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="results", **settings)
