"""A section of the Faces tab: one thing of a face changed, the rest left alone."""

from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from tabs import face_photo, model_cache
from tabs.components.picture_columns import PictureColumns
from tabs.faces import films, portraits
from tabs.image_encoding import encode_png
from tabs.validation import check_number, user_error

LIMIT = 3.0  # standard deviations of an attribute's score
SLIDERS = (
    "Smiling", "Eyeglasses", "Gray_Hair", "Male", "Blond_Hair", "Wearing_Lipstick", "Goatee",
)  # fmt: skip
OTHERS = (
    "Bald", "Bangs", "Attractive", "Mustache", "Heavy_Makeup", "Wearing_Hat", "Rosy_Cheeks",
    "Double_Chin", "Pale_Skin", "Mouth_Slightly_Open", "Sideburns", "Receding_Hairline",
)  # fmt: skip
LOCKS = ("Male", "Young", "Smiling", "Eyeglasses")
THRESHOLD = 0.012  # of the change of a pixel, under which the photo stays as it is
ABOUT = """Each slider moves the face along a direction in the latent space, in standard deviations
of how much faces differ in it. What is locked keeps its score. In a photo only the change is added:
everything that the model does not change stays yours."""


def asked(values: list[object], other: object, keep: object) -> tuple[dict[str, float], list[str]]:
    """The changes that the sliders ask for, and what must stay."""
    names = [*SLIDERS, *portraits.names_of([other], "Attribute", any_of=False)]
    amounts = [check_number(v, "A slider", -LIMIT, LIMIT) for v in values]
    known = model_cache.get_model(portraits.OURS).attributes
    changes = {
        name: amount
        for name, amount in zip(names, amounts, strict=True)
        if amount and name in known
    }
    if not isinstance(keep, list):
        raise user_error("What must stay must be a list of attributes.")
    locks = [name for name in portraits.names_of(keep, "Lock") if name not in changes]
    return changes, locks


def answer(
    text: object, values: list[object], other: object, keep: object, film: object
) -> dict[str, Any]:
    """What the columns show: before and after, and if wanted the film from -3 to +3."""
    portrait = portraits.open_portrait(text)
    changes, locks = asked(values, other, keep)
    after = changed(portrait, changes, locks)
    title = "Your photo" if portrait.photo else "Before"
    columns = [
        {"name": title, "picture": portraits.url(portrait.image[0]), "alt": "The face before"},
        {
            "name": "After",
            "picture": portraits.url(after[0]),
            "alt": "The face after the changes",
            "figures": [[portraits.readable(n), f"{v:+.2f}"] for n, v in changes.items()],
        },
    ]
    if film:
        columns += [film_column(portrait, next(iter(changes), SLIDERS[0]), keep)]
    return {"columns": columns, "said": "The changed face."}


def film_column(portrait: portraits.Portrait, name: str, keep: list) -> dict[str, Any]:
    """One attribute from -3 to +3, moving."""
    steps = [LIMIT * (i / 6 - 1) for i in range(13)]
    locks = [lock for lock in portraits.names_of(keep, "Lock") if lock != name]
    frames = [changed(portrait, {name: step} if step else {}, locks)[0] for step in steps]
    words = portraits.readable(name)
    return {
        "name": f"{words.capitalize()}, -3 to +3",
        "picture": films.url(frames),
        "alt": f"A film of the face, {words} from -3 to +3",
        "words": films.downloads(frames, words.replace(" ", "-")),
    }


def changed(portrait: portraits.Portrait, changes: dict[str, float], keep: list[str]) -> Any:
    """The face (1, 3, s, s) with attributes changed; of a photo only the change is transferred."""
    model = model_cache.get_model(portraits.OURS)
    if not changes:
        return portrait.image
    after = model.decode(model.move(portrait.z, changes, keep))
    return transfer(portrait, model.decode(portrait.z), after) if portrait.photo else after


def transfer(portrait: portraits.Portrait, before: Any, after: Any) -> Any:
    """The photo plus what differs between two reconstructions, where that is more than noise."""
    from torch.nn import functional as F

    difference = after - before
    strength = F.avg_pool2d(difference.abs().mean(1, keepdim=True), 9, 1, 4)
    alpha = ((strength - THRESHOLD) / THRESHOLD).clamp(0, 1)
    alpha = F.avg_pool2d(alpha, 5, 1, 2)
    return (portrait.image + alpha * difference).clamp(0, 1)


def whole_photo(portrait: portraits.Portrait, after: Any) -> face_photo.Pixels:
    """The photo at its own size with the change, or a sample as it is shown."""
    from models import face_alignment

    if portrait.photo is None:
        return portraits.to_pixels(after[0])
    pixels = face_photo.load_photo(portrait.photo.path)
    transform = face_alignment.SimilarityTransform(*portrait.photo.transform)
    return face_alignment.add_difference(pixels, (after - portrait.image)[0], transform)


def on_download(text: object, *settings: object) -> str:
    """The changed face as a PNG file; a photo at its own size."""
    *values, other, keep, _ = settings
    portrait = portraits.open_portrait(text)
    after = changed(portrait, *asked(values, other, keep))
    pixels = whole_photo(portrait, after)
    return save_bytes_to_cache(encode_png(pixels), "face.png", get_upload_folder())


def build() -> tuple[list[Component], Component, list[Component]]:
    """Layout: sliders beside the columns.

    The buttons send the face to Codes and to Inpaint and save it in the file that comes last.
    """
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            gr.Markdown(ABOUT, elem_classes="credit")
            sliders = [
                gr.Slider(
                    -LIMIT, LIMIT, 1.5 if name == "Smiling" else 0.0, step=0.25,
                    label=portraits.readable(name).capitalize(), elem_id=f"faces-slider-{i}",
                )
                for i, name in enumerate(SLIDERS)
            ]  # fmt: skip
            words = [portraits.readable(name) for name in OTHERS]
            other = gr.Dropdown(words, value=words[0], label="Another one", elem_id="faces-other")
            sliders.append(gr.Slider(-LIMIT, LIMIT, 0.0, step=0.25, label="As much of it"))
            locks = [portraits.readable(name) for name in LOCKS]
            keep = gr.CheckboxGroup(locks, value=locks[:2], label="Must stay", elem_id="faces-keep")
            film = gr.Checkbox(False, label="Film from -3 to +3", elem_id="faces-film")
            reset = gr.Button("Reset", elem_id="faces-reset")
        with gr.Column(elem_classes="studio-results"):
            columns = PictureColumns(elem_id="faces-change")
            with gr.Row():
                sends = [
                    gr.Button(f"Send to {name.title()}", elem_id=f"faces-to-{name}")
                    for name in ("codes", "inpaint")
                ]
                save = gr.Button("Download", elem_id="faces-save")
            file = gr.DownloadButton("File", elem_id="faces-file", elem_classes="unseen")
    zeros = "() => [" + ", ".join("0" for _ in sliders) + "]"
    reset.click(None, None, sliders, js=zeros, api_visibility="private")
    return [*sliders, other, keep, film], columns, [*sends, save, file]
