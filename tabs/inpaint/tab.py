"""The Inpaint tab: layout and events."""

import contextlib

import gradio as gr

from tabs import face_photo, permalink, sample_faces
from tabs.components import face_editor, fill_grid
from tabs.components.face_editor import FaceEditor
from tabs.components.fill_grid import FillGrid
from tabs.components.share_panel import SharePanel
from tabs.components.tab_state import PRIVATE, TabState
from tabs.face_photo import FacePhoto
from tabs.inpaint import api, render
from tabs.inpaint.handlers import GLASSES, MAX_COUNT, MAX_TEMPERATURE, SMILES, fill
from tabs.validation import MAX_SEED, check_choice, check_number, get_key, uploaded_path, user_error

SAMPLES = sample_faces.PATHS
CLICK = "() => setTimeout(() => document.querySelector('#inpaint-file').click(), 300)"
PURPOSE = """Each fill is an invention, not what was there. A research model of 128 px, trained on
CelebA (celebrities, mostly young and light-skinned; on other faces it is worse), for non-commercial
use; not for deceiving anyone."""


def locate(pad: dict) -> FacePhoto | None:
    """The photo that the editor's value names, and the face in it; None without a photo.

    A face of ours lies where CelebA has it. In a visitor's photo the eyes say where it is; else the
    transform that was found before, None if it was not looked for.
    """
    from models import face_alignment

    source, photo = get_key(pad, "source"), get_key(pad, "photo")
    if source:
        chosen = check_choice(source, "Face", [str(i) for i in range(len(SAMPLES))])
        path = SAMPLES[int(chosen)]
        side = face_photo.load_photo(path).shape[0] / face_alignment.UNITS
        return FacePhoto(str(path), tuple(face_alignment.SimilarityTransform(side, 0.0, 0.0, 0.0)))
    if not photo:
        return None
    path = str(uploaded_path({"path": photo}, face_photo.GONE))
    if pad.get("eyes"):
        return FacePhoto(path, face_photo.transform_from_eyes(pad["eyes"]))
    transform = pad.get("transform")
    if transform is None:
        return FacePhoto(path, None)
    if not isinstance(transform, list) or len(transform) != 4:
        raise user_error("The transform must be four numbers.")
    return FacePhoto(path, tuple(face_photo.check_pixels(v, "A transform") for v in transform))


def open_photo(pad: dict, face: FacePhoto) -> tuple[dict, dict]:
    """The editor's and the grid's value for a photo that the page does not show yet."""
    photo = face_photo.load_photo(face.path)
    note = fill_grid.EMPTY["note"]
    if face.transform is None:
        transform, faces = face_photo.find_face(photo)
        face = face._replace(transform=transform)
        if transform is None:
            note = face_photo.NO_FACE
        elif faces > 1:
            note = f"{faces} faces were found; this is the largest. {note}"
    kept = {
        name: pad[name] for name in ("source", "photo", "eyes", "holes", "strokes") if name in pad
    }
    found = {"transform": None if pad.get("source") else face.transform}
    value = face_editor.editor_value(photo, face.transform) | found | kept
    return value, {**fill_grid.EMPTY, "note": note}


def answer(pad, smile, glasses, count, temperature, seed):
    """The editor's and the grid's value for a state of the tab; an error is a line in the grid."""
    try:
        face = locate(pad)
        if face is None:
            return gr.skip(), fill_grid.EMPTY
        if not pad.get("view"):
            return open_photo(pad, face)
        if face.transform is None:
            return gr.skip(), {**fill_grid.EMPTY, "note": face_photo.NO_FACE}
        if not (pad.get("holes") or pad.get("strokes")):
            return gr.skip(), fill_grid.EMPTY
        photo = face_photo.load_photo(face.path)
        mask, fills = fill(photo, face, pad, smile, glasses, count, temperature, seed)
        box = face_photo.view_box(photo, face.transform)
        return gr.skip(), render.view(photo, mask, fills, box)
    except gr.Error as error:
        gone = error.message == face_photo.GONE
        return gr.skip(), {**fill_grid.EMPTY, "note": error.message, "gone": gone}


def on_download(shown: dict, pad, *settings):
    """The chosen fill in the photo, at the photo's own size; computed again from the seed."""
    face = locate(pad)
    if face is None or face.transform is None or not (pad.get("holes") or pad.get("strokes")):
        raise user_error("Fill a hole first.")
    chosen = get_key(shown, "chosen") or [0, 0]
    if not isinstance(chosen, list) or len(chosen) != 2:
        raise user_error("Choose a fill first.")
    photo = face_photo.load_photo(face.path)
    mask, fills = fill(photo, face, pad, *settings)
    row, i = (
        check_number(v, name, 0, size - 1, whole=True)
        for v, name, size in zip(chosen, ("Row", "Fill"), fills.crops.shape[:2], strict=True)
    )
    return api.save_png(render.composite(photo, mask, fills, row, i), "face.png")


def from_link(query: dict[str, str]):
    """Face, mask and settings of a link; invalid ones are ignored."""
    smile, glasses = query.get("smile"), query.get("glasses")
    settings = (
        smile if smile in SMILES else gr.skip(),
        glasses if glasses in GLASSES else gr.skip(),
        permalink.parse_number(query, "count", 1, MAX_COUNT),
        permalink.parse_number(query, "temperature", 0, MAX_TEMPERATURE, whole=False),
        permalink.parse_number(query, "seed", 0, MAX_SEED),
    )
    try:
        pad, _ = open_photo(pad := {"source": query.get("face", "")}, locate(pad))
        parts = filter(None, query.get("holes", "").split(";"))
        holes = [[int(v) for v in part.split(",")] for part in parts]
        rows = [
            permalink.decode_base36(part, 2) for part in query.get("brush", "").split(".") if part
        ]
        strokes = [[[v / 4 for v in row[0::2]], [v / 4 for v in row[1::2]]] for row in rows]
        pad |= {"holes": holes, "strokes": strokes}
        if holes or strokes:
            face_editor.parse_mask(pad, face_photo.load_photo(locate(pad).path))
    except (ValueError, TypeError, AttributeError, gr.Error):
        return gr.skip(), *settings
    return pad, *settings


def warm() -> None:
    """Load the models and run them once, so that the first visitor does not wait."""
    with contextlib.suppress(gr.Error, IndexError):
        pad, _ = open_photo(pad := {"source": "0"}, locate(pad))
        pad = {**pad, "holes": [pad["presets"]["mouth"]]}
        answer(pad, SMILES[0], GLASSES[0], 4, 1.0, 0)


def build() -> None:
    """The tab: the face and settings on the left, fills on the right."""
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            pad = FaceEditor(elem_id="inpaint-pad")
            samples = render.samples(SAMPLES)
            upload = gr.UploadButton(
                "Your own photo", file_types=["image"], type="filepath", elem_id="inpaint-upload"
            )
        with gr.Column(elem_classes="studio-results"):
            state = TabState("inpaint", sent=6)
            with gr.Row(elem_classes="studio-setting"):
                smile = gr.Radio(SMILES, value=SMILES[0], label="Smile", elem_id="inpaint-smile")
            shown = FillGrid(elem_id="inpaint-results")
            save = gr.Button("Download the chosen one", elem_id="inpaint-save")
            file = gr.DownloadButton("File", elem_id="inpaint-file", elem_classes="unseen")
        with gr.Column(elem_classes="studio-settings"):
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
            settings = [pad, smile, glasses, count, temperature, seed]
            SharePanel("inpaint").describe(settings)
            gr.Markdown(PURPOSE, elem_classes="credit")

    changes = [pad.edit, *(setting.change for setting in settings[1:])]
    state.connect(answer, settings, [pad, shown], changes, from_link)
    upload.upload(
        None, upload, None, js="f => { studio.face.open({photo: f.path}); return []; }", **PRIVATE
    )
    samples.pick(
        None,
        samples,
        None,
        js="s => { studio.face.open({source: s.chosen}); return []; }",
        **PRIVATE,
    )
    take_off = f"() => {{ studio.face.fill('glasses'); return ['{GLASSES[1]}']; }}"
    off.click(None, None, glasses, js=take_off, **PRIVATE)
    random_seed = f"() => Math.floor(Math.random() * {MAX_SEED})"
    reroll.click(None, None, seed, js=random_seed, **PRIVATE)
    lean = "(shown, pad, ...v) => [{chosen: shown.chosen}, {...pad, view: true}, ...v]"
    save.click(on_download, [shown, *settings], file, js=lean, queue=False, **PRIVATE).then(
        None, None, None, js=CLICK, **PRIVATE
    )
    api.build()
