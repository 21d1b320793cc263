"""Face inpainting: a photo and a hole in, several ways to fill it out."""

import contextlib

import gradio as gr
from gradio.context import Context

from tabs import face_photo, permalink, sample_faces
from tabs.components import face_editor, fill_grid
from tabs.components.face_editor import FaceEditor
from tabs.components.fill_grid import FillGrid
from tabs.components.share_panel import SharePanel
from tabs.face_photo import FacePhoto
from tabs.inpaint import api as inpaint_api
from tabs.inpaint import render as inpaint_view
from tabs.inpaint.handlers import GLASSES, MAX_COUNT, MAX_TEMPERATURE, SMILES, fill
from tabs.inpaint.render import Fills
from tabs.validation import MAX_SEED, check_choice, check_number, get_key, uploaded_path, user_error

SAMPLES = sample_faces.PATHS
CLICK = "() => setTimeout(() => document.querySelector('#inpaint-file').click(), 300)"
PURPOSE = """Each fill is an invention, not what was there. A research model of 128 px, trained on
CelebA (celebrities, mostly young and light-skinned; on other faces it is worse), for non-commercial
use; not for deceiving anyone."""


def on_photo(path: str | None):
    """An uploaded photo: find the face, or ask for the eyes."""
    if not path:
        return gr.skip(), gr.skip(), gr.skip(), gr.skip()
    photo = face_photo.load_photo(uploaded_path({"path": path}))
    transform, faces = face_photo.find_face(photo)
    note = face_photo.NO_FACE if transform is None else fill_grid.EMPTY["note"]
    if faces > 1:
        note = f"{faces} faces were found; this is the largest. {note}"
    return (
        FacePhoto(str(path), transform),
        face_editor.editor_value(photo, transform),
        {**fill_grid.EMPTY, "note": note},
        None,
    )


def on_sample(value: dict):
    """One of our own model's faces: its eyes are where CelebA has them."""
    from models import face_alignment

    chosen = check_choice(get_key(value, "chosen"), "Face", [str(i) for i in range(len(SAMPLES))])
    path = SAMPLES[int(chosen)]
    photo = face_photo.load_photo(path)
    side = photo.shape[0] / face_alignment.UNITS
    transform = tuple(face_alignment.SimilarityTransform(side, 0.0, 0.0, 0.0))
    pad = {**face_editor.editor_value(photo, transform), "source": chosen}
    return FacePhoto(str(path), transform), pad, fill_grid.EMPTY, None


def on_eyes(pad: dict, face: FacePhoto | None):
    """Both eyes were clicked."""
    if face is None:
        return gr.skip(), gr.skip(), gr.skip()
    photo = face_photo.load_photo(face.path)
    transform = face_photo.transform_from_eyes(get_key(pad, "eyes"))
    return (
        face._replace(transform=transform),
        face_editor.editor_value(photo, transform),
        fill_grid.EMPTY,
    )


def on_fill(pad, face, smile, glasses, count, temperature, seed):
    """The holes or a setting changed; without a hole the start is shown again."""
    if face is None or face.transform is None:
        return gr.skip(), gr.skip()
    if not (isinstance(pad, dict) and (pad.get("holes") or pad.get("strokes"))):
        return None, fill_grid.EMPTY
    try:
        photo = face_photo.load_photo(face.path)
        hole, made = fill(photo, face, pad, smile, glasses, count, temperature, seed)
        box = face_photo.view_box(photo, face.transform)
        return made, inpaint_view.view(photo, hole, made, box)
    except gr.Error as error:
        return None, {**fill_grid.EMPTY, "note": error.message}


def on_glasses(pad: dict):
    """Take glasses off: a hole where they are, and the wish."""
    hole = get_key(get_key(pad, "presets"), "glasses")
    if not hole:
        raise user_error("Choose a face first.")
    return {**pad, "holes": [hole], "strokes": []}, GLASSES[1]


def on_download(shown: dict, made: Fills | None):
    """The chosen fill in the photo, at the photo's own size."""
    if made is None:
        raise user_error("Fill a hole first.")
    chosen = get_key(shown, "chosen") or [0, 0]
    if not isinstance(chosen, list) or len(chosen) != 2:
        raise user_error("Choose a fill first.")
    row, i = chosen
    rows, count = made.squares.shape[:2]
    row = check_number(row, "Row", 0, rows - 1, whole=True)
    i = check_number(i, "Fill", 0, count - 1, whole=True)
    photo = face_photo.load_photo(made.face.path)
    hole = face_editor.parse_mask(made.pad, photo)
    return inpaint_api.file(inpaint_view.pasted(photo, hole, made, row, i), "face.png")


def from_link(request: gr.Request):
    """Face, holes and settings named in the page's address; what is wrong is ignored."""
    told = permalink.tab_query(request, "inpaint")
    smile, glasses = told.get("smile"), told.get("glasses")
    settings = (
        smile if smile in SMILES else gr.skip(),
        glasses if glasses in GLASSES else gr.skip(),
        permalink.parse_number(told, "count", 1, MAX_COUNT),
        permalink.parse_number(told, "temperature", 0, MAX_TEMPERATURE, whole=False),
        permalink.parse_number(told, "seed", 0, MAX_SEED),
    )
    try:
        face, pad, shown, kept = on_sample({"chosen": told.get("face")})
        parts = filter(None, told.get("holes", "").split(";"))
        holes = [[int(v) for v in part.split(",")] for part in parts]
        if holes:
            face_editor.parse_mask({"holes": holes}, face_photo.load_photo(face.path))
    except (ValueError, gr.Error):
        return (gr.skip(),) * 4 + settings
    return face, {**pad, "holes": holes}, shown, kept, *settings


def warm() -> None:
    """Load the models and run them once, so that the first visitor need not wait."""
    with contextlib.suppress(gr.Error, IndexError):
        face, pad, _, _ = on_sample({"chosen": "0"})
        pad = {**pad, "holes": [pad["presets"]["mouth"]]}
        on_fill(pad, face, SMILES[0], GLASSES[0], 4, 1.0, 0)


def build() -> None:
    """The tab: the face and settings on the left, fills on the right."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            pad = FaceEditor(elem_id="inpaint-pad")
            samples = inpaint_view.samples(SAMPLES)
            upload = gr.UploadButton(
                "Your own photo", file_types=["image"], type="filepath", elem_id="inpaint-upload"
            )
        with gr.Column(elem_classes="studio-results"):
            shown = FillGrid(elem_id="inpaint-results")
            save = gr.Button("Download the chosen one", elem_id="inpaint-save")
            file = gr.DownloadButton("File", elem_id="inpaint-file", elem_classes="unseen")
        with gr.Column(elem_classes="studio-settings"):
            smile = gr.Radio(SMILES, value=SMILES[0], label="Smile", elem_id="inpaint-smile")
            glasses = gr.Radio(
                GLASSES, value=GLASSES[0], label="Glasses", elem_id="inpaint-glasses"
            )
            off = gr.Button("Take glasses off", elem_id="inpaint-off")
            count = gr.Slider(1, MAX_COUNT, 4, step=1, label="How many", buttons=[])
            temperature = gr.Slider(
                0, MAX_TEMPERATURE, 1.0, step=0.05, label="Temperature", buttons=[]
            )
            with gr.Row(elem_classes="studio-pair"):
                seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED)
                reroll = gr.Button("Reroll", elem_classes="reroll")
            SharePanel("inpaint", [pad, smile, glasses, count, temperature, seed])
            gr.Markdown(PURPOSE, elem_classes="credit")
    face = gr.State(None, time_to_live=3600)
    kept = gr.State(None, time_to_live=3600)

    settings = [pad, face, smile, glasses, count, temperature, seed]
    plumbing = {"api_visibility": "private", "show_progress": "hidden"}
    heavy = {**plumbing, "concurrency_id": "model", "outputs": [kept, shown]}
    upload.upload(on_photo, upload, [face, pad, shown, kept], **plumbing)
    samples.pick(on_sample, samples, [face, pad, shown, kept], **plumbing)
    pad.eyes(on_eyes, [pad, face], [face, pad, shown], **plumbing)
    latest = {"trigger_mode": "always_last"}
    pad.fill(on_fill, settings, **latest, **heavy)
    changes = [smile.input, glasses.input, count.release, temperature.release, seed.input]
    gr.on(changes, on_fill, settings, **latest, **heavy)
    off.click(on_glasses, pad, [pad, glasses], **plumbing).then(on_fill, settings, **heavy)
    reroll.click(
        None, None, seed, js=f"() => Math.floor(Math.random() * {MAX_SEED})", **plumbing
    ).then(on_fill, settings, **heavy)
    save.click(on_download, [shown, kept], file, **plumbing).then(
        None, None, None, js=CLICK, **plumbing
    )
    linked = [face, pad, shown, kept, smile, glasses, count, temperature, seed]
    Context.root_block.load(from_link, None, linked, **plumbing).then(on_fill, settings, **heavy)
    inpaint_api.build()
