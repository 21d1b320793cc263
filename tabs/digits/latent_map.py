"""A section of the Digits tab: latent spaces of two dimensions as maps."""

import contextlib
import math
from functools import lru_cache
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from gradio.context import Context
from jaxtyping import Float, Int64, UInt8

from tabs import model_cache
from tabs.components.drawing_pad import DrawingPad, parse_drawing
from tabs.components.latent_map import LatentMap
from tabs.digits import records
from tabs.digits.sheets import sheet
from tabs.image_encoding import png_url
from tabs.validation import check_choice, check_number, get_key, user_error

GRID = 24  # pictures along each side of the decoded grid
STRIP = 11  # pictures along the line
PRIOR_REACH = 3.0  # standard deviations of the prior that the map of a VAE shows at least
OUTSIDE = 0.0025  # share of the points that may lie beyond each side of the map
MARGIN = 0.05  # of the side of the map
MAX_COORDINATE = 1e6
LINE_CLASSES = (1, 0)  # between whose medians the first line runs
LEAST_LINE = 0.1  # parts of the map's side
AUTOENCODER = "digits-latent2-ae"
ABOUT = """These networks squeeze a digit into just two numbers, its *latent variable*, so that all
digits lie on a map: a place on it is all that the decoder gets to draw a picture."""
DRAW = """Draw a digit to see where the encoder puts it: not on a point but in a small Gaussian, as
wide as the encoder is unsure."""
NO_POINTS = "No test digits are on this map yet: `python -m training.digits.latent_map` adds them."
NO_GAUSSIAN = "An autoencoder gives a place only, without a Gaussian around it."


class Variant(NamedTuple):
    """One of the trained maps."""

    stem: str
    look_for: str
    """What to look for, for someone who sees such a map for the first time."""


VARIANTS = {
    "VAE, dense, BCE": Variant(
        "digits-latent2-dense-bce",
        "The usual VAE: each class has a region, and the regions meet around the middle without "
        "gaps, so that nearly every place inside the dashed circle decodes to a digit.",
    ),
    "VAE, dense, MSE": Variant(
        "digits-latent2-dense-mse",
        "Squared error (MSE) instead of cross-entropy (BCE) punishes wrong pixels less beside the "
        "same KL term: the KL divergence is smaller and the classes overlap more in the middle.",
    ),
    "VAE, dense, weighted MSE": Variant(
        "digits-latent2-dense-wmse",
        "Errors in the ink count five times as much as those in the paper: strokes come out bright "
        "and thick, where the other losses rather leave them grey.",
    ),
    "VAE, convolutional, BCE": Variant(
        "digits-latent2-conv-bce",
        "Convolutions instead of dense layers, with a fifth of the weights: compare the squared "
        "error and how far the classes lie apart with the dense network's.",
    ),
    "VAE, convolutional, MSE": Variant(
        "digits-latent2-conv-mse",
        "Convolutions and squared error: compare both with the dense network's map and with BCE.",
    ),
    "VAE, convolutional, weighted MSE": Variant(
        "digits-latent2-conv-wmse",
        "Convolutions, and errors in the ink count five times: brighter strokes than with MSE.",
    ),
    "VAE, collapsed": Variant(
        "digits-latent2-collapsed",
        "Posterior collapse: all digits lie on one spot and every place decodes to the same mean "
        "picture, because the error was averaged over the pixels, 784 times too little beside the "
        "KL term. The cure is to sum it, as in the maps above, or to weigh the KL term less.",
    ),
    "Autoencoder": Variant(
        "digits-latent2-ae",
        "Without a KL term nothing keeps the digits together: they lie far out and unevenly, with "
        "holes between them. Drag the point into a hole to see that it decodes to no digit.",
    ),
}
FIRST = next(iter(VARIANTS))


def check_variant(name: object) -> Variant:
    """The variant of this name; an error for the visitor where there is none."""
    return VARIANTS[check_choice(name, "Map", tuple(VARIANTS))]


def view_of(points: Float[np.ndarray, "n 2"], *, has_prior: bool) -> tuple[float, float, float]:
    """Left and bottom edge and the side of the square map of these points.

    A few far ones are left out; with a prior, the map reaches to 3 standard deviations of it.
    """
    if len(points):
        low, high = np.quantile(points, (OUTSIDE, 1 - OUTSIDE), axis=0)
    else:
        low, high = np.zeros(2), np.zeros(2)
    if has_prior or not len(points):
        low, high = np.minimum(low, -PRIOR_REACH), np.maximum(high, PRIOR_REACH)
    side = max(float((high - low).max()), 1e-6) * (1 + 2 * MARGIN)
    left, bottom = (low + high) / 2 - side / 2
    return float(left), float(bottom), side


def grid_places(view: tuple[float, float, float]) -> Float[np.ndarray, "n 2"]:
    """The middles of the grid's cells, row by row from the top left."""
    left, bottom, side = view
    middles = (np.arange(GRID) + 0.5) / GRID * side
    x, y = np.meshgrid(left + middles, (bottom + middles)[::-1])
    return np.stack([x.ravel(), y.ravel()], 1)


def decode(stem: str, places: Float[np.ndarray, "n 2"]) -> UInt8[np.ndarray, "n 28 28"]:
    """The pictures that places of a map decode to."""
    import torch

    model = model_cache.get_model(stem)
    images = model.decode(torch.from_numpy(places).float())
    return (images[:, 0] * 255).round().byte().numpy()


@lru_cache(maxsize=len(VARIANTS))
def map_value(stem: str) -> dict[str, Any]:
    """What the component shows of a variant: positions of test digits, and the decoded grid."""
    record = records.read_json(stem, "latents.json")
    has_prior = stem != AUTOENCODER
    points, labels = positions(record)
    view = view_of(points, has_prior=has_prior)
    pictures = decode(stem, grid_places(view))
    stored = record or {"low": [0, 0], "high": [0, 0], "levels": 1, "points": []}
    return {
        "map": {
            **{name: stored[name] for name in ("low", "high", "levels", "points")},
            "view": list(view),
            "prior": has_prior,
            "sheet": sheet(pictures, GRID),
            "columns": GRID,
            "line": line_between(points, labels, view),
        },
        "note": NO_POINTS if record is None else summary(record, points, view),
    }


def positions(
    record: dict[str, Any] | None,
) -> tuple[Float[np.ndarray, "n 2"], Int64[np.ndarray, " n"]]:
    """Latent coordinates and classes of a stored map."""
    rows = np.array([] if record is None else record["points"], np.int64).reshape(-1, 3)
    if record is None:
        return np.zeros((0, 2)), rows[:, 2]
    low, high = np.array(record["low"]), np.array(record["high"])
    return low + rows[:, :2] / record["levels"] * (high - low), rows[:, 2]


def line_between(
    points: Float[np.ndarray, "n 2"],
    labels: Int64[np.ndarray, " n"],
    view: tuple[float, float, float],
) -> list[list[float]]:
    """The line that is shown at first: between the medians of two classes.

    Across the map where these are at nearly the same place.
    """
    left, bottom, side = view
    ends = [[left + share * side, bottom + share * side] for share in (0.3, 0.7)]
    medians = [list(end) for end in ends]
    for i, label in enumerate(LINE_CLASSES):
        own = points[labels == label]
        if len(own):
            medians[i] = np.median(own, 0).tolist()
    is_short = math.dist(*medians) < LEAST_LINE * side
    return ends if is_short else medians


def summary(
    record: dict[str, Any],
    points: Float[np.ndarray, "n 2"],
    view: tuple[float, float, float],
) -> str:
    """The figures of a map in words."""
    corner, side = np.array(view[:2]), view[2]
    outside = int(((points < corner) | (points > corner + side)).any(1).sum())
    words = [f"{len(points):,} test digits of MNIST"]
    if outside:
        words[0] += f", {outside} of them beyond the edge"
    words.append(f"squared error of their reconstructions {record['squared_error']:.1f}")
    if record["kl"] is not None:
        words.append(
            f"KL divergence {record['kl']:.2f} nats a digit: what its place tells about it, "
            "0 is nothing. Dashed: two standard deviations of the prior, where samples are drawn"
        )
    return "; ".join(words) + "."


def on_variant(name: str, drawing: dict):
    """Another map, with the visitor's digit on it."""
    variant = check_variant(name)
    return map_value(variant.stem) | {"digit": encode_drawing(variant.stem, drawing)}, (
        variant.look_for
    )


def on_drawing(name: str, drawing: dict):
    """The visitor's digit on the map; without ink there is none."""
    return {"digit": encode_drawing(check_variant(name).stem, drawing)}


def encode_drawing(stem: str, drawing: dict) -> dict[str, Any] | None:
    """Mean and standard deviations of q(z | x) of a drawing, and x as the network sees it."""
    import torch

    from models import images

    if not get_key(drawing, "strokes"):
        return None
    ink = parse_drawing(drawing)
    try:
        x = images.ink_to_digit(torch.from_numpy(ink))
    except ValueError as error:
        raise user_error("Draw something first: one stroke is enough.") from error
    model = model_cache.get_model(stem)
    seen = png_url((x * 255).round().byte().numpy())
    if stem == AUTOENCODER:
        mean = model.encode(x[None, None])[0].tolist()
        return {"mean": mean, "std": None, "seen": seen, "note": NO_GAUSSIAN}
    with torch.no_grad():
        posterior = model.posterior(x[None, None])
    std = (0.5 * posterior.logvar[0]).exp().tolist()
    note = f"The encoder's Gaussian, two standard deviations: {std[0]:.2f} by {std[1]:.2f} each."
    return {"mean": posterior.mu[0].tolist(), "std": std, "seen": seen, "note": note}


def on_decode(name: str, value: dict) -> dict[str, Any]:
    """The exact pictures of the point and of the line, for the request of this serial number."""
    variant = check_variant(name)
    point, line = get_key(value, "point"), get_key(value, "line")
    if not isinstance(line, list) or len(line) != 2:
        raise user_error("The line must be two points [x, y] of the map.")
    point, start, end = (parse_place(place) for place in (point, *line))
    path = start + np.linspace(0, 1, STRIP)[:, None] * (end - start)
    pictures = decode(variant.stem, np.concatenate([point[None], path]))
    return {"exact": {"serial": get_key(value, "serial"), "sheet": sheet(pictures, STRIP + 1)}}


def parse_place(value: object) -> Float[np.ndarray, "2"]:
    """A place on the map; an error for the visitor for anything else."""
    if not isinstance(value, list) or len(value) != 2:
        raise user_error("A place on the map must be two numbers [x, y].")
    reach = MAX_COORDINATE
    return np.array([check_number(v, "A coordinate", -reach, reach) for v in value])


def warm() -> None:
    """Decode the first map once."""
    with contextlib.suppress(gr.Error):
        map_value(VARIANTS[FIRST].stem)


def build() -> None:
    """Layout and events of the section."""
    section = Context.block
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            gr.Markdown(ABOUT, elem_classes="credit")
            name = gr.Dropdown(list(VARIANTS), value=FIRST, label="Map", elem_id="latent-variant")
            look_for = gr.Markdown(VARIANTS[FIRST].look_for, elem_id="latent-look-for")
        with gr.Column(elem_classes="studio-results"):
            plane = LatentMap(elem_id="latent-map")
        with gr.Column(elem_classes="studio-settings"):
            gr.Markdown(DRAW, elem_classes="credit")
            drawing = DrawingPad(elem_id="latent-pad")

    heavy = {"api_visibility": "private", "show_progress": "hidden", "concurrency_id": "model"}
    latest = {"trigger_mode": "always_last"}
    gr.on(
        [section.select, name.input],
        on_variant, [name, drawing], [plane, look_for], **latest, **heavy,
    )  # fmt: skip
    drawing.live(on_drawing, [name, drawing], plane, **latest, **heavy)
    plane.decode(on_decode, [name, plane], plane, **latest, **heavy)
