"""The Digits tab: six families of generative models of digits, a section for each question."""

import contextlib
from typing import Any

import gradio as gr
from gradio.context import Context

from tabs import permalink
from tabs.components import drawing_pad
from tabs.components.share_panel import SharePanel
from tabs.components.tab_state import PRIVATE, TabState
from tabs.digits import (
    api,
    compare,
    diffusion,
    experiments,
    latent_map,
    style,
    training_film,
    your_digit,
)
from tabs.digits.families import ANY, CLASSES
from tabs.validation import MAX_SEED

ABOUT = """Six kinds of network that learnt to write digits from the same 60,000 examples of MNIST.
All but the GAN and the diffusion model squeeze a picture into a short list of numbers, its *latent
variable*, and draw it again from there; all six can draw digits that nobody wrote."""
SECTIONS = {
    "Compare": compare,
    "Your digit": your_digit,
    "Latent map": latent_map,
    "Diffusion": diffusion,
    "Style": style,
    "Training as a film": training_film,
    "Experiments": experiments,
}
NAMES = tuple(title.lower().replace(" ", "-") for title in SECTIONS)  # in the page's address
COMPARE, OWN, STYLE = "compare", "your-digit", "style"
# of each section's settings among the inputs of the tab's state, after the section's name
PARTS = {COMPARE: slice(1, 7), OWN: slice(7, 12), STYLE: slice(12, 15)}
ANSWERS = {COMPARE: compare.answer, OWN: your_digit.answer, STYLE: style.answer}
OPEN = "shown => [shown || 'compare']"
# JavaScript: the visitor's digit becomes a picture of the Codes tab, which opens
TO_CODES = """(columns) => {
  const picture = columns?.digit;
  if (!picture) return [{__type__: "update"}];
  const give = () => {
    if (!studio.board) return setTimeout(give, 50); // the board comes with the tab's first sight
    studio.board.act({do: "kind", kind: "digits"});
    studio.board.act({do: "picture", slot: "A", picture});
  };
  give();
  return [{__type__: "update", selected: "codes"}];
}"""


def build() -> None:
    """A row of sections; what is in one is computed when it is first opened."""
    tab = Context.block
    gr.Markdown(ABOUT, elem_classes="credit")
    state = TabState("digits", sent=PARTS[STYLE].stop)
    shown = gr.Textbox("", visible="hidden", elem_id="digits-section", container=False)
    built: dict[str, Any] = {}
    with gr.Tabs(elem_id="digits-sections") as sections:
        for name, (title, section) in zip(NAMES, SECTIONS.items(), strict=True):
            with gr.Tab(title, id=name) as part:
                built[name] = section.build()
            part.select(None, None, shown, js=f"() => ['{name}']", **PRIVATE)
    own_settings, own_columns, strip, send = built[OWN]
    compare_settings, compare_columns = built[COMPARE]
    style_settings, style_strips = built[STYLE]
    inputs = [shown, *compare_settings, *own_settings, *style_settings]
    outputs = [compare_columns, own_columns, style_strips]
    SharePanel("digits").describe(inputs)
    drawings = [own_settings[0], style_settings[0]]
    changes = [pad.edit for pad in drawings]
    changes += [setting.change for setting in inputs if setting not in drawings]
    state.connect(answer, inputs, outputs, changes, from_link)

    tab.select(None, shown, shown, js=OPEN, **PRIVATE)
    strip.pick(
        None, strip, own_settings[0], js="s => ({strokes: [], erase: [], base: s.tiles[s.chosen]})",
        **PRIVATE,
    )  # fmt: skip
    tab.select(your_digit.example_sheet, None, strip, **PRIVATE)
    send.click(None, own_columns, tab.parent, js=TO_CODES, **PRIVATE)
    Context.root_block.load(select_section, None, sections, **PRIVATE)
    api.register()


def answer(section: object, *values: object) -> list[Any]:
    """What the three sections with settings show; only the open one is computed."""
    answers: list[Any] = [gr.skip() for _ in ANSWERS]
    for i, (name, compute) in enumerate(ANSWERS.items()):
        if section == name:
            part = PARTS[name]
            try:
                answers[i] = compute(*values[part.start - 1 : part.stop - 1])
            except gr.Error as error:
                answers[i] = {"columns": [], "note": error.message, "said": error.message}
    return answers


def from_link(query: dict[str, str]) -> list[Any]:
    """The inputs' values of a link; invalid ones are ignored."""
    section = query.get("section", COMPARE)
    values: list[Any] = [gr.skip() for _ in range(PARTS[STYLE].stop)]
    values[0] = section if section in NAMES else COMPARE

    def number(name: str, low: float, high: float, *, whole: bool = True) -> Any:
        return permalink.parse_number(query, name, low, high, whole=whole)

    def choice(name: str, allowed: list[str]) -> Any:
        return query[name] if query.get(name) in allowed else gr.skip()

    # Not skipped where there is none: that takes the sizes from a pad not yet on the page.
    drawing = drawing_pad.EMPTY
    for part in (OWN, STYLE):
        values[PARTS[part].start] = drawing
    with contextlib.suppress(ValueError, gr.Error):
        drawing = drawing_pad.drawing_from_link(query)
    settings = {
        COMPARE: lambda: [
            choice("label", [ANY, *CLASSES]),
            number("count", 1, compare.MAX_COUNT),
            number("temperature", 0, compare.MAX_TEMPERATURE, whole=False),
            number("guidance", 0, compare.MAX_GUIDANCE, whole=False),
            number("steps", 1, compare.MAX_STEPS),
            number("seed", 0, MAX_SEED),
        ],
        OWN: lambda: [
            drawing,
            choice("task", list(your_digit.TASKS)),
            number("sigma", 0.05, your_digit.MAX_SIGMA, whole=False),
            choice("part", list(your_digit.HOLES)),
            number("seed", 0, MAX_SEED),
        ],
        STYLE: lambda: [
            drawing,
            choice("own", [style.READ, *CLASSES]),
            choice("other", CLASSES),
        ],
    }
    if section in settings:
        values[PARTS[section]] = settings[section]()
    return values


def select_section(request: gr.Request):
    """The section that the page's address names, as in `?tab=digits&section=style`."""
    name = permalink.tab_query(request, "digits").get("section")
    return gr.Tabs(selected=name) if name in NAMES else gr.skip()


def warm() -> None:
    """Load the models and run them once; a missing checkpoint is an error where it is used."""
    for section in SECTIONS.values():
        with contextlib.suppress(gr.Error):
            section.warm()
