"""The endpoint `/inpaint_face`: photo and rectangle to PNG files of the photo's own size."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import Context
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from tabs import face_photo
from tabs.face_photo import FacePhoto, Pixels
from tabs.image_encoding import encode_png
from tabs.inpaint import render
from tabs.inpaint.handlers import SMILES, fill
from tabs.server.uploads import accept_uploads_only
from tabs.validation import check_choice, uploaded_path, user_error


def save_png(pixels: Pixels, name: str) -> str:
    """The path of a picture as a PNG file, which the app keeps for an hour."""
    return save_bytes_to_cache(encode_png(pixels), name, get_upload_folder())


def inpaint_face(
    photo: Any,
    rectangle: list | dict,
    smile: str = "as it comes",
    glasses: str = "as it comes",
    count: int = 4,
    seed: int = 0,
    eyes: list | None = None,
    temperature: float = 1.0,
) -> list[dict]:
    """Fills of a rectangle in a photo of a face, as PNG files of the photo's own size.

    `photo` comes through `gradio_client.handle_file` (at most 8 MB and 24 megapixels). `rectangle`
    is [left, top, right, bottom] in its px, a list of such, or the value of the page's pad; every
    pixel outside stays as it is.
    `smile` is "as it comes", "smile" or "no smile", `glasses` "as it comes", "no glasses" or
    "glasses"; in a rectangle over the eyes "no glasses" replaces only the glasses that are found.
    `eyes` [[x, y], [x, y]] locates the face, the person's right eye first; without it the largest
    face is found. The same `seed` gives the same fills, a higher `temperature` varies them more.
    """
    pixels = face_photo.load_photo(uploaded_path(photo))
    smile = check_choice(smile, "Smile", SMILES[:3])
    single = isinstance(rectangle, list) and not any(isinstance(r, list) for r in rectangle)
    holes = {"holes": [rectangle] if single else rectangle}
    pad = rectangle if isinstance(rectangle, dict) else holes
    transform = (
        face_photo.transform_from_eyes(eyes)
        if eyes is not None
        else face_photo.find_face(pixels)[0]
    )
    if transform is None:
        raise user_error(
            "No face was found in this photo: say where the eyes are, [[x, y], [x, y]]."
        )
    face = FacePhoto(photo["path"], transform)
    mask, fills = fill(pixels, face, pad, smile, glasses, count, temperature, seed)
    results = [render.composite(pixels, mask, fills, 0, i) for i in range(fills.crops.shape[1])]
    files = [save_png(result, f"fill-{i + 1:02}.png") for i, result in enumerate(results)]
    return [gr.FileData(path=path, orig_name=Path(path).name).model_dump() for path in files]


def build() -> None:
    """Register the endpoint."""
    gr.api(inpaint_face, api_name="inpaint_face", concurrency_id="model")
    accept_uploads_only(Context.root_block, "inpaint_face")
