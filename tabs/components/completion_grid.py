"""The grid of completions of a drawing."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY = {"tiles": [], "note": "Draw a stroke or two, or take an example: completions appear here."}


class CompletionGrid(CustomHTML):
    """Tiles with downloads; the event `pick` sets `chosen` to the number of a tile."""

    asset, scripts = "completion_grid", ("dom", "studio", "completion_grid")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="results", **settings)
