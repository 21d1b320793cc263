"""The map of a latent space of two dimensions: test digits, and what each place decodes to."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY = {"map": None}


class LatentMap(CustomHTML):
    """The map; its event `decode` asks for the exact pictures of the point and of the line.

    Then its value holds {"point": [x, y], "line": [[x, y], [x, y]], "serial"}, all in latent
    coordinates. It takes "map", "digit" or "exact" and keeps what it has of the others.
    """

    asset, scripts = "latent_map", ("dom", "canvas", "sheet", "play", "latent_map")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="results latent-map", **settings)
