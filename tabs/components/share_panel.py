"""Sharing a tab's state: a link that restores it, and Python that computes the same."""

from typing import Any

import gradio as gr

from tabs.components.custom_html import CustomHTML, read_asset


class SharePanel(CustomHTML):
    """The buttons "Copy link" and "Copy as Python" of a tab."""

    asset, scripts = "share_panel", ("dom", "share_panel")

    def __init__(self, tab: str, **settings: Any):
        value = {"tab": tab, "ask": ""}
        super().__init__(value, elem_id=f"{tab}-share", elem_classes="share", **settings)
        self.tab = tab

    def describe(self, inputs: list[gr.components.Component]) -> None:
        """Share the values that `inputs` hold when a button is pressed.

        The function in `<tab>_link.js` makes {link: {name: text}, calls: [{to, args}], note} of
        them.
        """
        function = read_asset(f"{self.tab}_link.js")
        self.ask(
            None,
            [self, *inputs],
            self,
            js=f"(panel, ...values) => ({{...panel, ...({function})(...values)}})",
            api_visibility="private",
            show_progress="hidden",
        )
