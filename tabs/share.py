"""A tab's state to take away: a link that brings it back, and Python that computes the same."""

import gradio as gr

from tabs import common
from tabs.common import number

TABS = ("sketch", "inpaint", "codes")
MAX_QUERY = 8_000  # characters that are read of one setting


def panel(tab: str, inputs: list[gr.components.Component]) -> None:
    """ "Copy link" and "Copy as Python" for what `inputs` hold when one of them is pressed.

    `components/TAB-share.js` makes of their values {link: {name: text}, calls: [{to, args}], note}.
    """
    shown = common.component(
        {"tab": tab, "ask": ""}, "share", elem_id=f"{tab}-share", elem_classes="share"
    )
    described = common.asset(f"{tab}-share.js")
    js = f"(panel, ...values) => ({{...panel, ...({described})(...values)}})"
    shown.ask(
        None, [shown, *inputs], shown, js=js, api_visibility="private", show_progress="hidden"
    )


def opened(request: gr.Request):
    """The tab that the page's address names, as in `?tab=codes`."""
    tab = request.query_params.get("tab")
    return gr.Tabs(selected=tab) if tab in TABS else gr.skip()


def asked(request: gr.Request, tab: str) -> dict[str, str]:
    """What the page's address says of a tab, as in `?tab=sketch&label=cat`; else nothing.

    An address without `tab` speaks of the first one.
    """
    told = dict(request.query_params)
    return told if told.pop("tab", TABS[0]) == tab else {}


def figure(told: dict[str, str], name: str, low: float, high: float, whole: bool = True):
    """A number of the link, or what leaves the setting as it is."""
    try:
        return number(float(told.get(name, "nan")), name, low, high, whole=whole)
    except (ValueError, gr.Error):
        return gr.skip()


def figures(text: str, width: int) -> list[int]:
    """Whole numbers, each `width` digits of base 36, as `components/*-share.js` write them.

    ValueError where they are none.
    """
    if len(text) > MAX_QUERY or len(text) % width or not text.isalnum() or not text.isascii():
        raise ValueError("not a row of numbers")
    return [int(text[i : i + width], 36) for i in range(0, len(text), width)]
