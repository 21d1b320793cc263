"""Pictures side by side with figures and words, a column each."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY: dict[str, Any] = {"columns": [], "said": ""}


class PictureColumns(CustomHTML):
    """Shows {columns: [{name, picture, alt, words, figures: [[name, value]], loss}], note}."""

    asset, scripts = "picture_columns", ("dom", "picture_columns")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="picture-columns", **settings)
