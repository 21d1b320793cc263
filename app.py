"""Latent Studio: the page. `python app.py` serves it on this machine."""

import os
import threading

import gradio as gr

from tabs import permalink, theme
from tabs.codes import tab as codes
from tabs.components import custom_html
from tabs.inpaint import tab as inpaint
from tabs.server import blocks, cleanup, limits
from tabs.sketch import tab as sketch

HEADER = """# Latent Studio
Small latent-variable models to see and touch: finish a drawing, fill a hole in a face, take a
picture's codes apart."""
CREDIT = """Trained on Google's [Quick, Draw!](https://github.com/googlecreativelab/quickdraw-dataset)
drawings, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), on MNIST's digits, and on
CelebA's faces, for non-commercial research. What you send is deleted within two hours."""
TABS = dict(zip(permalink.TABS, (sketch, inpaint, codes), strict=True))


def build() -> gr.Blocks:
    """The page with all its tabs."""
    with blocks.Studio("Latent Studio") as demo:
        gr.Markdown(HEADER, elem_classes="header")
        with gr.Tabs() as shown:
            for stem, tab in TABS.items():
                with gr.Tab(stem.title(), id=stem):
                    tab.build()
        gr.Markdown(CREDIT, elem_classes="credit")
        demo.load(
            permalink.select_tab, None, shown, api_visibility="private", show_progress="hidden"
        )
    # 32 wait 2.5 s on two cores; one model at a time keeps the order of a visitor's events.
    return demo.queue(max_size=32, default_concurrency_limit=1, api_open=False)


def launch(demo: gr.Blocks, **where) -> threading.Thread:
    """Serve; the thread that is given back loads the models once the page answers."""
    anywhere = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    demo.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME") or anywhere,
        theme=theme.theme(),
        css=theme.css_variables(),
        css_paths=sorted(custom_html.FOLDER.glob("*.css")),
        footer_links=["api", "settings"],
        run_history=False,
        max_file_size="8mb",
        ssr_mode=False,
        show_error=True,  # else Gradio's own refusals reach an API client without their sentence
        enable_monitoring=False,
        state_session_capacity=400,  # pages open at once; each holds 0.2 MB and its pictures
        app_kwargs={"middleware": [(limits.Gate, (), {})], "lifespan": cleanup.tidied},
        prevent_thread_lock=True,
        **where,
    )
    warming = threading.Thread(target=warm, daemon=True)
    warming.start()
    return warming


def warm() -> None:
    """Load the models, one after the other."""
    for tab in TABS.values():
        tab.warm()


if __name__ == "__main__":
    blocks.sparing()
    page = build()
    launch(page)
    page.block_thread()
