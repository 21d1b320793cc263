"""A section of the Digits tab: one sampling of the diffusion model, step by step."""

import contextlib
from functools import lru_cache
from typing import Any

import gradio as gr
import numpy as np
from gradio.context import Context

from tabs import model_cache
from tabs.components.diffusion_path import DiffusionPath
from tabs.digits.sheets import sheet
from tabs.validation import MAX_SEED, check_choice, check_number, user_error

STEM = "digits-diffusion"
CLASSES = [str(label) for label in range(10)]
SCHEDULES = ("cosine", "linear")
MAX_STEPS = 200  # of the tab: all states of a sampling are sent to the browser
MAX_GUIDANCE = 5.0
CURVE_POINTS = 100
ABOUT = """Diffusion adds noise to a digit in small steps until nothing else is left, and trains a
network to say what was added. Run backwards from pure noise, step by step, that draws a digit."""
HINTS = """*Guidance*: how strongly the class is asked for; 0 ignores it. *Eta*: how much new noise
each step adds; at 0 the same noise always becomes the same digit (DDIM), at 1 it is the original
sampler (DDPM)."""
START = """Nothing but random numbers. All the network can guess is the mean of everything that may
come of them: a grey blur."""
PHASES = (
    (0.02, "Almost nothing but noise. The prediction is still a mean over many digits, so it is "
     "blurred and may change altogether."),
    (0.2, "Mostly noise, but the large strokes are settled now: which digit it is and how it "
     "leans."),
    (0.6, "As much signal as noise. The shape stands; ends and joints of the strokes still move."),
    (0.95, "Mostly signal. Only details change: how thick a stroke is and where it ends."),
    (1.0, "Hardly any noise. The last steps clean the paper and sharpen the edges."),
)  # fmt: skip
END = "No noise is left: the prediction is the picture."


def describe(level: float, *, first: bool) -> str:
    """What happens where this share of x_t is signal, in one sentence or two."""
    if first:
        return START
    return next((text for bound, text in PHASES if level < bound), END)


@lru_cache(maxsize=32)
def path_value(
    label: int, seed: int, guidance: float, steps: int, schedule: str, eta: float
) -> dict[str, Any]:
    """What the component shows: every state of one sampling, the arguments valid."""
    import torch

    from models.digits import diffusion
    from models.digits.base import standard_normal

    model = model_cache.get_model(STEM)
    states = model.trajectory(1, label, 1.0, seed, steps, guidance, eta, schedule)
    noise = (standard_normal(1, 1, 28, 28, seed=seed) + 1) / 2
    noisy = torch.cat([noise, *(state.x for state in states)])
    clean = torch.cat([*(state.x0 for state in states), states[-1].x0])
    pictures = torch.cat([noisy, clean])[:, 0].clamp(0, 1)
    times = [*diffusion.timesteps(steps).tolist(), 0]
    levels = [*(state.alpha_bar for state in states), 1.0]
    picked = np.linspace(0, diffusion.TIMESTEPS - 1, CURVE_POINTS + 1).round().astype(int)
    return {
        "sheet": sheet((pictures * 255).round().byte().numpy(), steps + 1),
        "steps": [
            {"t": t, "level": level, "said": describe(level, first=i == 0)}
            for i, (t, level) in enumerate(zip(times, levels, strict=True))
        ],
        "schedule": schedule,
        "timesteps": diffusion.TIMESTEPS,
        "curves": {name: diffusion.alpha_bars(name)[picked].tolist() for name in SCHEDULES},
    }


def on_settings(
    label: str, seed: float, guidance: float, steps: float, schedule: str, eta: float
) -> dict[str, Any]:
    """A sampling with these settings."""
    if seed is None:
        raise user_error("Seed must be a whole number: type one, or take a new one.")
    return path_value(
        int(check_choice(label, "Class", CLASSES)),
        check_number(seed, "Seed", 0, MAX_SEED, whole=True),
        check_number(guidance, "Guidance", 0, MAX_GUIDANCE),
        check_number(steps, "Steps", 1, MAX_STEPS, whole=True),
        check_choice(schedule, "Schedule", SCHEDULES),
        check_number(eta, "Eta", 0, 1),
    )


def warm() -> None:
    """Run the first sampling once."""
    with contextlib.suppress(gr.Error):
        on_settings("3", 0, 1.0, 50, SCHEDULES[0], 0.0)


def build() -> None:
    """Layout and events of the section."""
    section = Context.block
    with gr.Row(elem_classes="studio"):
        with gr.Column(elem_classes="studio-pad"):
            gr.Markdown(ABOUT, elem_classes="credit")
            label = gr.Dropdown(CLASSES, value="3", label="Class", elem_id="diffusion-class")
            with gr.Row(elem_classes="studio-pair"):
                seed = gr.Number(
                    0, label="Seed", precision=0, minimum=0, maximum=MAX_SEED,
                    elem_id="diffusion-seed",
                )  # fmt: skip
                reroll = gr.Button("Reroll", elem_id="diffusion-reroll", elem_classes="reroll")
        with gr.Column(elem_classes="studio-results"):
            path = DiffusionPath(elem_id="diffusion-path")
        with gr.Column(elem_classes="studio-settings"):
            guidance = gr.Slider(0, MAX_GUIDANCE, 1.0, step=0.1, label="Guidance", buttons=[])
            steps = gr.Slider(
                1, MAX_STEPS, 50, step=1, label="Steps", buttons=[], elem_id="diffusion-steps"
            )
            schedule = gr.Radio(
                SCHEDULES, value=SCHEDULES[0], label="Noise schedule", elem_id="diffusion-schedule"
            )
            eta = gr.Slider(0, 1, 0, step=0.05, label="Eta", buttons=[])
            gr.Markdown(HINTS, elem_classes="credit")

    settings = [label, seed, guidance, steps, schedule, eta]
    plumbing = {"api_visibility": "private", "show_progress": "hidden"}
    heavy = {**plumbing, "concurrency_id": "model", "trigger_mode": "always_last"}
    gr.on(
        [section.select, *(setting.input for setting in settings)],
        on_settings, settings, path, **heavy,
    )  # fmt: skip
    reroll.click(
        None, None, seed, js=f"() => Math.floor(Math.random() * {MAX_SEED})", **plumbing
    ).then(on_settings, settings, path, **heavy)
