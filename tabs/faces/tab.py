"""The Faces tab: one face, and a section for each thing that a latent space lets one do with it."""

import contextlib
from typing import Any

import gradio as gr
from gradio.context import Context

from tabs import permalink
from tabs.components.share_panel import SharePanel
from tabs.components.tab_state import PRIVATE, TabState
from tabs.faces import api, change, generate, inside, mix, own_face, portraits
from tabs.validation import MAX_SEED

ABOUT = """Faces as points of a space: make new ones, take your own there, change one thing, walk
from one to another. The model learnt from CelebA (celebrities, mostly young and light-skinned; on
other faces it is worse); its words are what annotators saw, not facts. For non-commercial use."""
GENERATE, CHANGE, OWN, MIX, INSIDE = "generate", "change", "your-face", "mix", "look-inside"
TITLES = {
    GENERATE: "Generate",
    CHANGE: "Change",
    OWN: "Your face",
    MIX: "Mix",
    INSIDE: "Look inside",
}
NAMES = tuple(TITLES)
FACE = 1  # of the inputs
GENERATED, CHANGED, MIXED = slice(2, 6), slice(6, 17), slice(17, 20)  # settings of the sections
CLICK = "() => setTimeout(() => document.querySelector('#faces-file').click(), 300)"
OPEN = "shown => [shown || 'generate']"
TAKE = "s => [s.faces[s.chosen], {__type__: 'update', selected: 'change'}, 'change']"

# JavaScript: the changed face becomes a picture of the Codes tab, or a photo of Inpaint with its
# eyes where CelebA has them; that tab opens
TO_CODES = """(columns) => {
  const picture = columns?.columns?.[1]?.picture;
  if (!picture) return [{__type__: "update"}];
  const give = () => {
    if (!studio.board) return setTimeout(give, 50); // the board comes with the tab's first sight
    studio.board.act({do: "kind", kind: "faces"});
    studio.board.act({do: "picture", slot: "A", picture});
  };
  give();
  return [{__type__: "update", selected: "codes"}];
}"""
TO_INPAINT = """async (columns) => {
  const picture = columns?.columns?.[1]?.picture;
  if (!picture) return [{__type__: "update"}];
  const form = new FormData();
  form.append("files", await (await fetch(picture)).blob(), "face.png");
  const place = new URL("gradio_api/upload", location.origin + location.pathname);
  const [photo] = await (await fetch(place, {method: "POST", body: form})).json();
  const give = () => {
    if (!studio.face) return setTimeout(give, 50);
    studio.face.open({photo, eyes: [[44, 66], [83, 66]]});
  };
  give();
  return [{__type__: "update", selected: "inpaint"}];
}"""


def build() -> None:
    """The chosen face and a row of sections; what is in one is computed when it is first opened."""
    tab = Context.block
    gr.Markdown(ABOUT, elem_classes="credit")
    state = TabState("faces", sent=MIXED.stop)
    shown = gr.Textbox("", visible="hidden", elem_id="faces-section", container=False)
    face = gr.Textbox("", visible="hidden", elem_id="faces-face", container=False)
    upload = gr.UploadButton(
        "Use your own photo", file_types=["image"], type="filepath", elem_id="faces-upload"
    )
    with gr.Tabs(elem_id="faces-sections") as sections:
        parts = {}
        with gr.Tab(TITLES[GENERATE], id=GENERATE) as parts[GENERATE]:
            generated, grid = generate.build()
        with gr.Tab(TITLES[CHANGE], id=CHANGE) as parts[CHANGE]:
            changed, change_columns, sends = change.build()
        with gr.Tab(TITLES[OWN], id=OWN) as parts[OWN]:
            own_columns = own_face.build()
        with gr.Tab(TITLES[MIX], id=MIX) as parts[MIX]:
            mixed, mix_columns, strips = mix.build()
        with gr.Tab(TITLES[INSIDE], id=INSIDE) as parts[INSIDE]:
            inside_columns = inside.build()
    for name, part in parts.items():
        part.select(None, None, shown, js=f"() => ['{name}']", **PRIVATE)
    inputs = [shown, face, *generated, *changed, *mixed]
    outputs = [grid, change_columns, own_columns, mix_columns, inside_columns]
    SharePanel("faces").describe(inputs)
    state.connect(answer, inputs, outputs, [one.change for one in inputs], from_link)

    tab.select(None, shown, shown, js=OPEN, **PRIVATE)
    grid.pick(None, grid, [face, sections, shown], js=TAKE, **PRIVATE)
    opened = f"f => [JSON.stringify({{photo: f.path}}), {TAKE.split(', ', 1)[1]}"
    upload.upload(None, upload, [face, sections, shown], js=opened, **PRIVATE)
    *buttons, save, file = sends
    for button, js in zip(buttons, (TO_CODES, TO_INPAINT), strict=True):
        button.click(None, change_columns, tab.parent, js=js, **PRIVATE)
    save.click(change.on_download, [face, *changed], file, queue=False, **PRIVATE).then(
        None, None, None, js=CLICK, **PRIVATE
    )
    for seed, (strip, other) in enumerate(strips, 2):
        parts[MIX].select(strip_samples(seed), None, strip, **PRIVATE)
        strip.pick(None, strip, other, js="s => [s.faces[s.chosen]]", **PRIVATE)
    Context.root_block.load(select_section, None, sections, **PRIVATE)
    api.register()


def answer(section: object, face: object, *values: object) -> list[Any]:
    """What the sections show; only the open one is computed."""
    settings = [section, face, *values]
    *sliders, other, keep, film = settings[CHANGED]
    answers = {
        GENERATE: lambda: generate.answer(*settings[GENERATED]),
        CHANGE: lambda: change.answer(face, sliders, other, keep, film),
        OWN: lambda: own_face.answer(face),
        MIX: lambda: mix.answer(face, *map(_other, settings[MIXED][:2], (2, 3)), settings[-1]),
        INSIDE: lambda: inside.answer(face),
    }
    shown: list[Any] = [gr.skip() for _ in NAMES]
    if section in answers:
        try:
            shown[NAMES.index(section)] = answers[section]()
        except gr.Error as error:
            refused = {"columns": [], "tiles": [], "note": error.message, "said": error.message}
            shown[NAMES.index(section)] = refused
    return shown


def _other(face: object, seed: int) -> object:
    """The face of a strip that is chosen, its first one where none is."""
    return face or generate.answer([], [], 0.8, seed)["faces"][0]


def strip_samples(seed: int) -> Any:
    """A handler that gives the eight faces of a strip."""

    def show() -> dict[str, Any]:
        found = generate.answer([], [], 0.8, seed)
        return {name: v[:8] if isinstance(v, list) else v for name, v in found.items()}

    return show


def from_link(query: dict[str, str]) -> list[Any]:
    """The inputs' values of a link; invalid ones are ignored."""
    section = query.get("section", GENERATE)
    values: list[Any] = [gr.skip() for _ in range(MIXED.stop)]
    values[0] = section if section in NAMES else GENERATE
    values[FACE] = portraits.from_page(query.get("face"))
    with contextlib.suppress(gr.Error):
        words = [query.get(name, "").split(",") for name in ("on", "off")]
        lists = [[word for word in part if word] for part in words]
        portraits.conditions(*lists)
        values[GENERATED.start : GENERATED.start + 2] = lists
    values[4] = permalink.parse_number(
        query, "temperature", 0, portraits.MAX_TEMPERATURE, whole=False
    )
    values[5] = permalink.parse_number(query, "seed", 0, MAX_SEED)
    for i in range(len(change.SLIDERS) + 1):
        values[CHANGED.start + i] = permalink.parse_number(
            query, f"s{i}", -change.LIMIT, change.LIMIT, whole=False
        )
    if query.get("other") in map(portraits.readable, change.OTHERS):
        values[CHANGED.stop - 3] = query["other"]
    locks = [portraits.readable(name) for name in change.LOCKS]
    if "keep" in query:
        values[CHANGED.stop - 2] = [w for w in query["keep"].split(",") if w in locks]
    if query.get("way") in mix.WAYS:
        values[MIXED.stop - 1] = query["way"]
    for place, name in zip((MIXED.start, MIXED.start + 1), ("b", "c"), strict=True):
        values[place] = portraits.from_page(query.get(name))
    return values


def select_section(request: gr.Request):
    """The section that the page's address names, as in `?tab=faces&section=mix`."""
    name = permalink.tab_query(request, "faces").get("section")
    return gr.Tabs(selected=name) if name in NAMES else gr.skip()


def warm() -> None:
    """Load the models and run them once; a missing checkpoint is an error where it is used."""
    with contextlib.suppress(gr.Error):
        generate.answer([], [], 0.8, 1)
        own_face.answer("")
