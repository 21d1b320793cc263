"""A row of pictures to choose from."""

from tabs.components.custom_html import CustomHTML

EMPTY = {"tiles": [], "names": [], "chosen": None}


class PictureStrip(CustomHTML):
    """Pictures as buttons; the event `pick` sets `chosen` to the number of one."""

    asset, scripts = "picture_strip", ("dom", "picture_strip")

    def __init__(self, elem_id: str):
        super().__init__(EMPTY, elem_id=elem_id, elem_classes="results")
