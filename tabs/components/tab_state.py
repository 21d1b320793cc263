"""A tab's state: kept in the page, sent to the server, and asked for again until it is answered."""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr
from gradio.events import EventListener

from tabs import permalink
from tabs.components.custom_html import CustomHTML, read_asset

PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


class TabState(CustomHTML):
    """Connects a tab's inputs to its outputs, and shows while an answer is awaited or failed.

    The handler gets nothing but the inputs' values, so that any request can be repeated, and any
    server can answer it. Gradio's own events would be lost where two overlap (docs/lost-events.md).
    """

    asset, scripts = "tab_state", ("dom", "studio", "tab_state")

    def __init__(self, tab: str, sent: int = 0, **settings: Any):
        super().__init__(
            {}, elem_id=f"{tab}-state", elem_classes="tab-state",
            **({"tab": tab, "first": permalink.TABS[0], "sent": sent} | settings),
        )  # fmt: skip
        self.change_js = f"() => {{ studio.{tab}.change(); return []; }}"
        self.ask_js = f"() => {{ studio.{tab}.ask(); return []; }}"

    def connect(
        self,
        handler: Callable[..., Sequence[Any]],
        inputs: list[gr.components.Component],
        outputs: list[gr.components.Component],
        changes: list[EventListener],
        from_link: Callable[[dict[str, str]], Sequence[Any]],
    ) -> None:
        """Answer each state of `inputs`, the first `sent` of them, by `handler`'s `outputs`.

        `changes` are the events after which the state may be another; `from_link` makes the inputs'
        values of a link's settings. The address is what `<tab>_link.js` makes of the inputs.
        """
        tab = self.props["tab"]

        def answer(sequence: object, *values: Any) -> tuple[Any, ...]:
            return {"answers": sequence}, *handler(*values)

        def restore(query: object) -> tuple[Any, ...]:
            pairs = query.items() if isinstance(query, dict) else ()
            return {}, *from_link({name: str(value) for name, value in pairs})

        link = read_asset(f"{tab}_link.js")
        collect = f"(...v) => {{ studio.{tab}.collected(v, ({link})(...v).link); return []; }}"
        direct = {**PRIVATE, "queue": False}
        # the page's script posts these two
        sent = [self, *inputs[: self.props["sent"]]]
        self.ask(answer, sent, [self, *outputs], **direct, api_name=f"{tab}_ask")
        self.open(restore, self, [self, *inputs], **direct, api_name=f"{tab}_open")
        self.collect(None, inputs, None, js=collect, **PRIVATE)
        self.answer(None, None, outputs, js=f"() => studio.{tab}.results", **PRIVATE)
        self.restore(None, None, inputs, js=f"() => studio.{tab}.restored", **PRIVATE).then(
            None, None, None, js=f"() => {{ studio.{tab}.restoredAll(); return []; }}", **PRIVATE
        )
        gr.on(changes, None, None, None, js=self.change_js, **PRIVATE)
