"""The endpoints of Faces: new faces, a face changed, a face reconstructed."""

from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from tabs import model_cache
from tabs.face_photo import Pixels
from tabs.faces import change, portraits
from tabs.image_encoding import encode_png
from tabs.server.uploads import accept_uploads_only
from tabs.validation import (
    MAX_SEED,
    check_choice,
    check_number,
    short_repr,
    uploaded_path,
    user_error,
)

MAX_COUNT = 64
MODELS = {"faces": portraits.OURS, "vae": portraits.VAE, "plain": portraits.PLAIN}


def sample_faces(
    count: int = 16,
    attributes: dict | None = None,
    temperature: float = 1.0,
    seed: int = 0,
    model: str = "faces",
) -> list[dict]:
    """New faces as PNG files: 128x128 of "faces", 64x64 of the published "vae" and "plain".

    `attributes` says what they have and what not, such as {"Smiling": True, "Eyeglasses": False}.
    The same `seed` gives the same faces; `temperature` 0 the most typical ones, at most 1.5.
    """
    network = model_cache.get_model(MODELS[check_choice(model, "Model", list(MODELS))])
    count = check_number(count, "Count", 1, MAX_COUNT, whole=True)
    heat = check_number(temperature, "Temperature", 0, portraits.MAX_TEMPERATURE)
    seed = check_number(seed, "Seed", 0, MAX_SEED, whole=True)
    asked = _mapping(attributes, "attributes")
    for name, value in asked.items():
        if not isinstance(value, bool):
            raise user_error(f"{short_repr(name)} must be True or False, not {short_repr(value)}.")
    try:
        faces = network.sample(count, asked, heat, seed)
    except ValueError as error:
        raise user_error(f"{error}") from error
    return [_file(face, f"face-{i + 1:02}.png") for i, face in enumerate(faces)]


def edit_face(
    photo: Any, changes: dict, keep: list | None = None, eyes: list | None = None
) -> dict[str, Any]:
    """A face with attributes changed: {"photo", "picture", "before": PNG files, "attributes"}.

    "photo" has the photo's own size, the other two are the face, 128x128.
    `photo` comes through `gradio_client.handle_file`. `changes` are in standard deviations of the
    attributes' scores, from -3 to 3, such as {"Smiling": 2.0}; the scores of the attributes in
    `keep` stay, of Male and Young unless given. `eyes` [[x, y], [x, y]] in px of the photo locate
    the face; without it the largest one is found. "attributes" are all that can be changed.
    """
    wanted = _mapping(changes, "changes")
    amounts = {
        name: check_number(value, "A change", -change.LIMIT, change.LIMIT)
        for name, value in zip(
            portraits.names_of(list(wanted), "Attribute", any_of=False),
            wanted.values(),
            strict=True,
        )
    }
    if keep is not None and not isinstance(keep, list):
        raise user_error('keep must be a list of attributes, such as ["Male", "Young"].')
    locks = portraits.names_of(["Male", "Young"] if keep is None else keep, "Attribute")
    portrait = portraits.crop_photo(uploaded_path(photo), eyes)
    amounts = {name: amount for name, amount in amounts.items() if amount}
    after = change.changed(portrait, amounts, [n for n in locks if n not in amounts])
    return {
        "photo": _png(change.whole_photo(portrait, after), "photo.png"),
        "picture": _file(after[0], "changed.png"),
        "before": _file(portrait.image[0], "before.png"),
        "attributes": list(model_cache.get_model(portraits.OURS).attributes),
    }


def reconstruct_face(photo: Any, model: str = "faces", eyes: list | None = None) -> dict[str, Any]:
    """A face encoded and drawn again: {"picture", "seen": PNG files, "squared_error"}.

    `photo` and `eyes` as for /edit_face, `model` as for /sample_faces. "seen" is what the model
    got; "squared_error" is the mean over its pixels, in [0, 1].
    """
    stem = MODELS[check_choice(model, "Model", list(MODELS))]
    portrait = portraits.crop_photo(uploaded_path(photo), eyes)
    seen = portrait.image if stem == portraits.OURS else portraits.reduced(portrait.image)
    out = model_cache.get_model(stem).reconstruct(seen)
    return {
        "picture": _file(out[0], "reconstructed.png"),
        "seen": _file(seen[0], "seen.png"),
        "squared_error": float((out - seen).square().mean()),
    }


def _mapping(value: object, name: str) -> dict:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise user_error(f'{name} must name attributes, such as {{"Smiling": ...}}.')
    return value


def _file(face: Any, name: str) -> dict:
    return _png(portraits.to_pixels(face), name)


def _png(pixels: Pixels, name: str) -> dict:
    file = save_bytes_to_cache(encode_png(pixels), name, get_upload_folder())
    return gr.FileData(path=file, orig_name=name).model_dump()


def register() -> None:
    """Add the endpoints to the page being built."""
    gr.api(sample_faces, api_name="sample_faces", concurrency_id="model")
    for function in (edit_face, reconstruct_face):
        gr.api(function, api_name=function.__name__, concurrency_id="model")
        accept_uploads_only(Context.root_block, function.__name__)
