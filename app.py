"""Latent Studio: the page. `python app.py` serves it on this machine."""

import os
import threading

import gradio as gr

from tabs import common, share
from tabs.codes import tab as codes
from tabs.inpaint import tab as inpaint
from tabs.server import blocks, cleanup, limits
from tabs.sketch import tab as sketch

ACCENT = gr.themes.Color(
    c50="#fff4ed", c100="#ffe5d5", c200="#fec7aa", c300="#fda174", c400="#f9723c", c500="#de4914",
    c600="#c93f0e", c700="#a6310c", c800="#852a11", c900="#6c2511", c950="#3a1006",
)  # fmt: skip
THEME = gr.themes.Base(
    primary_hue=ACCENT,
    neutral_hue="stone",
    font=[gr.themes.Font(name) for name in ("ui-sans-serif", "system-ui", "sans-serif")],
    font_mono=[gr.themes.Font(name) for name in ("ui-monospace", "monospace")],
    radius_size=gr.themes.sizes.radius_lg,
)
HEADER = """# Latent Studio
Small latent-variable models to see and touch: finish a drawing, fill a hole in a face, take a
picture's codes apart."""
CREDIT = """Trained on Google's [Quick, Draw!](https://github.com/googlecreativelab/quickdraw-dataset)
drawings, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/), on MNIST's digits, and on
CelebA's faces, for non-commercial research. What you send is deleted within two hours."""
TABS = dict(zip(share.TABS, (sketch, inpaint, codes), strict=True))


def build() -> gr.Blocks:
    """The page with all its tabs."""
    with blocks.Studio("Latent Studio") as demo:
        gr.Markdown(HEADER, elem_classes="header")
        with gr.Tabs() as shown:
            for stem, tab in TABS.items():
                with gr.Tab(stem.title(), id=stem):
                    tab.build()
        gr.Markdown(CREDIT, elem_classes="credit")
        demo.load(share.opened, None, shown, api_visibility="private", show_progress="hidden")
    # 32 wait 2.5 s on two cores; one model at a time keeps the order of a visitor's events.
    return demo.queue(max_size=32, default_concurrency_limit=1, api_open=False)


def launch(demo: gr.Blocks, **where) -> threading.Thread:
    """Serve; the thread that is given back loads the models once the page answers."""
    anywhere = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    demo.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME") or anywhere,
        theme=THEME,
        css_paths=[common.ASSETS / "studio.css", common.ASSETS / "codes.css"],
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
