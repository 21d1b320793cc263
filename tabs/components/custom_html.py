"""The base of our own components: a class whose template and script lie beside its module."""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

FOLDER = Path(__file__).parent


@cache
def read_asset(name: str) -> str:
    """The text of a file of this folder."""
    return (FOLDER / name).read_text("utf-8")


class CustomHTML(gr.HTML):
    """A component made of `<asset>.html` and the scripts `<script>.js`, joined in their order.

    A subclass names them. Its value is what the script reads and sets as `props.value`. Where a
    handler skips an output, Gradio makes it anew with `render=False` and without its value.
    """

    asset: ClassVar[str]
    scripts: ClassVar[tuple[str, ...]]

    def __init__(self, value: Any = None, *, html_template: str | None = None, **settings: Any):
        super().__init__(
            value,
            html_template=read_asset(f"{self.asset}.html")
            if html_template is None
            else html_template,
            js_on_load="\n".join(read_asset(f"{script}.js") for script in self.scripts),
            apply_default_css=False,
            **settings,
        )
