"""Latent Studio: `python app.py` serves the page on this machine."""

import json
import os
import threading

import gradio as gr

from tabs import permalink, theme
from tabs.codes import tab as codes
from tabs.components import custom_html
from tabs.components.tab_state import PRIVATE
from tabs.digits import tab as digits
from tabs.faces import tab as faces
from tabs.inpaint import tab as inpaint
from tabs.server import blocks, cleanup, first_page, limits, process
from tabs.server.visitor_queue import WORKERS
from tabs.sketch import tab as sketch

HEADER = """# Latent Studio
Small latent-variable models to try: complete a drawing, inpaint a face, edit a picture's codes,
compare six ways to make a digit, mix faces."""
CREDIT = """Trained on Google's [Quick, Draw!](https://github.com/googlecreativelab/quickdraw-dataset)
drawings, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), on MNIST's digits, and on
CelebA's faces, for non-commercial research. What you send is deleted within two hours."""
TABS = dict(zip(permalink.TABS, (sketch, inpaint, codes, digits, faces), strict=True))


def build() -> gr.Blocks:
    """The page with all its tabs."""
    with blocks.StudioBlocks("Latent Studio") as demo:
        gr.Markdown(HEADER, elem_classes="header")
        with gr.Tabs() as tabs:
            for stem, tab in TABS.items():
                with gr.Tab(stem.title(), id=stem) as part:
                    tab.build()
                opened = f"() => {{ studio.show('{stem}'); return []; }}"
                part.select(None, None, None, js=opened, **PRIVATE)
        gr.Markdown(CREDIT, elem_classes="credit")
        names = json.dumps(list(TABS))
        demo.load(None, None, tabs, js=permalink.SELECT_TAB % names, **PRIVATE)
    return demo.queue(max_size=32, api_open=False)


def launch(demo: gr.Blocks, **options) -> threading.Thread:
    """Start the server; the returned thread loads the models once the page answers."""
    middleware = [(kind, (), {}) for kind in (first_page.FirstPage, limits.RequestLimits)]
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    demo.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME") or host,
        theme=theme.theme(),
        css=theme.css_variables(),
        css_paths=[theme.PAGE_CSS, *sorted(custom_html.FOLDER.glob("*.css"))],
        footer_links=["api", "settings"],
        run_history=False,
        max_file_size="8mb",
        ssr_mode=False,
        max_threads=WORKERS,
        show_error=True,  # otherwise an API client does not see why Gradio refused
        enable_monitoring=False,
        state_session_capacity=400,  # pages open at once; each holds its pictures
        app_kwargs={"middleware": middleware, "lifespan": cleanup.lifespan},
        prevent_thread_lock=True,
        **options,
    )
    loading = threading.Thread(target=warm, daemon=True)
    loading.start()
    return loading


def warm() -> None:
    """Load the models, one after the other."""
    for tab in TABS.values():
        tab.warm()


if __name__ == "__main__":
    process.limit_threads()
    page = build()
    launch(page)
    page.block_thread()
