"""The look of the page: the accent colour, Gradio's theme, and the colours of maps."""

from pathlib import Path

import gradio as gr
import numpy as np
from jaxtyping import Float

PAGE_CSS = Path(__file__).parent / "page.css"
ACCENT = gr.themes.Color(
    c50="#fff4ed", c100="#ffe5d5", c200="#fec7aa", c300="#fda174", c400="#f9723c", c500="#de4914",
    c600="#c93f0e", c700="#a6310c", c800="#852a11", c900="#6c2511", c950="#3a1006",
)  # fmt: skip
ACCENT_ON_DARK = "#ff8a5c"  # text in dark mode: light enough to be read (WCAG AA)
MAP_END = "#480e28"  # the dark end of the colour map
MAP_ACCENT_LEVEL = 0.55  # the level at which the colour map is the accent colour


def theme() -> gr.themes.Base:
    """Gradio's theme; it defines the CSS variables `--primary-50` ... `--primary-950`."""
    return gr.themes.Base(
        primary_hue=ACCENT,
        neutral_hue="stone",
        font=[gr.themes.Font(name) for name in ("ui-sans-serif", "system-ui", "sans-serif")],
        font_mono=[gr.themes.Font(name) for name in ("ui-monospace", "monospace")],
        radius_size=gr.themes.sizes.radius_lg,
    )


def css_variables() -> str:
    """CSS that defines `--studio-accent`, the accent colour of text, and `--colour-map`."""
    stops = f"#fff, {ACCENT.c500} {MAP_ACCENT_LEVEL:.0%}, {MAP_END}"
    return (
        f":root {{ --studio-accent: {ACCENT.c600}; "
        f"--colour-map: linear-gradient(90deg, {stops}); }}\n"
        f".dark {{ --studio-accent: {ACCENT_ON_DARK}; }}"
    )


def rgb(colour: str) -> Float[np.ndarray, "3"]:
    """The channels of "#rrggbb", 0..255."""
    return np.frombuffer(bytes.fromhex(colour.removeprefix("#")), np.uint8).astype(np.float32)


PAPER_RGB, ACCENT_RGB = rgb("#ffffff"), rgb(ACCENT.c500)


def colour_map(level: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """White, accent colour, dark, 0..255, as the level goes from 0 to 1."""
    stops = np.stack([PAPER_RGB, ACCENT_RGB, rgb(MAP_END)])
    pixels = [np.interp(level.clip(0, 1), (0, MAP_ACCENT_LEVEL, 1), axis) for axis in stops.T]
    return np.stack(pixels, -1)
