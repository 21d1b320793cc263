"""A row of pictures to choose from."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY = {"tiles": [], "names": [], "chosen": None}


class PictureStrip(CustomHTML):
    """Pictures as buttons; the event `pick` sets `chosen` to the number of one."""

    asset, scripts = "picture_strip", ("dom", "picture_strip")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="results", **settings)
