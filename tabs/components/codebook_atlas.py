"""Every code of a codebook as a picture."""

from tabs.components.custom_html import CustomHTML

EMPTY = {"kind": "", "sheet": "", "columns": 0, "rows": 0, "codes": [], "chosen": None}


class CodebookAtlas(CustomHTML):
    """A button for each code; the event `pick` sets `chosen` to a code."""

    asset, scripts = "codebook_atlas", ("dom", "codebook_atlas")

    def __init__(self, elem_id: str):
        super().__init__(EMPTY, elem_id=elem_id, elem_classes="results")
