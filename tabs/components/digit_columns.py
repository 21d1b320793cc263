"""Models of digits side by side: pictures, figures and losses, a column each."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY: dict[str, Any] = {"columns": [], "said": ""}


class DigitColumns(CustomHTML):
    """Shows {columns: [{name, picture, alt, words, figures: [[name, value]], loss}], note}."""

    asset, scripts = "digit_columns", ("dom", "digit_columns")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="digit-columns", **settings)
