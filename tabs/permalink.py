"""Links that restore a tab: reading the page's address."""

import gradio as gr

from tabs.validation import check_number

TABS = ("sketch", "inpaint", "codes", "digits", "faces")
MAX_QUERY = 8_000  # characters that are read of one setting


SELECT_TAB = """() => {
  const tab = new URLSearchParams(location.search).get("tab");
  return [%s.includes(tab) ? {__type__: "update", selected: tab} : {__type__: "update"}];
}"""  # JavaScript: the tab that the page's address names, as in `?tab=codes`


def tab_query(request: gr.Request, tab: str) -> dict[str, str]:
    """The settings of `tab` in the page's address, as in `?tab=sketch&label=cat`.

    Empty if the address names another tab; an address without `tab` means the first one.
    """
    query = dict(request.query_params)
    return query if query.pop("tab", TABS[0]) == tab else {}


def section_query(request: gr.Request, tab: str, section: str, first: str) -> dict[str, str]:
    """The settings of a section of `tab`; an address without `section` means `first`."""
    query = tab_query(request, tab)
    return query if query.pop("section", first) == section else {}


def parse_number(query: dict[str, str], name: str, low: float, high: float, *, whole: bool = True):
    """A number of the address, or `gr.skip()` if it is absent or not valid."""
    try:
        return check_number(float(query.get(name, "nan")), name, low, high, whole=whole)
    except (ValueError, gr.Error):
        return gr.skip()


def decode_base36(text: str, width: int) -> list[int]:
    """Whole numbers of `width` base-36 digits each, as `components/*_link.js` write them.

    ValueError if the text is anything else.
    """
    if len(text) > MAX_QUERY or len(text) % width or not text.isalnum() or not text.isascii():
        raise ValueError("not a row of numbers")
    return [int(text[i : i + width], 36) for i in range(0, len(text), width)]
