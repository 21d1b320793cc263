"""Sharing a tab's state: a link that restores it, and Python that computes the same."""

import gradio as gr

from tabs.components.custom_html import CustomHTML, read_asset


class SharePanel(CustomHTML):
    """ "Copy link" and "Copy as Python" for the values of `inputs` when a button is pressed.

    The function in `<tab>_link.js` makes {link: {name: text}, calls: [{to, args}], note} of them.
    """

    asset, scripts = "share_panel", ("dom", "share_panel")

    def __init__(self, tab: str, inputs: list[gr.components.Component]):
        super().__init__({"tab": tab, "ask": ""}, elem_id=f"{tab}-share", elem_classes="share")
        describe = read_asset(f"{tab}_link.js")
        self.ask(
            None,
            [self, *inputs],
            self,
            js=f"(panel, ...values) => ({{...panel, ...({describe})(...values)}})",
            api_visibility="private",
            show_progress="hidden",
        )
