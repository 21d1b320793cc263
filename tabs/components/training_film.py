"""Samples of a model over its training, beside its losses."""

from typing import Any

from tabs.components.custom_html import CustomHTML

EMPTY = {"sheet": ""}


class TrainingFilm(CustomHTML):
    """Snapshots of a training on a slider; the value holds all of them, or a note why not."""

    asset, scripts = "training_film", ("dom", "sheet", "play", "chart", "training_film")

    def __init__(self, value: dict = EMPTY, **settings: Any):
        super().__init__(value, elem_classes="results training-film", **settings)
