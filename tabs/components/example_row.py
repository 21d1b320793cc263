"""A row of examples to start from."""

from typing import Any

from tabs.components.custom_html import CustomHTML


class ExampleRow(CustomHTML):
    """Buttons with a `data-label`; the event `pick` sets `chosen` to the label of one.

    `buttons` is their HTML; `value` is what else the component's value holds.
    """

    scripts = ("dom", "example_row")

    def __init__(self, title: str, buttons: str, value: dict | None = None, **settings: Any):
        super().__init__(
            {**(value or {}), "chosen": None},
            html_template=f'<p class="starts-title">{title}</p><div class="starts" role="group" '
            f'aria-label="Examples">{buttons}</div>',
            **settings,
        )
