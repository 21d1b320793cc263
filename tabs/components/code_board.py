"""Two pictures, their grids of codes, and the edited grid."""

from typing import Any

from tabs.components.custom_html import CustomHTML


class CodeBoard(CustomHTML):
    """Grids of codes with their tools; the event `edit` is one more action."""

    asset, scripts = "code_board", ("dom", "canvas", "studio", "code_board")

    def __init__(self, value: dict | None = None, **settings: Any):
        super().__init__(value, elem_classes="results codes", **settings)
