"""One sampling of a diffusion model, step by step."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY = {"sheet": ""}


class DiffusionPath(CustomHTML):
    """Scrubs through the states of one sampling, all of which its value holds."""

    asset, scripts = "diffusion_path", ("dom", "sheet", "play", "chart", "diffusion_path")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="results path", **settings)
