"""The page itself: its tabs with their controls, and what the buttons compute."""

import html
from collections.abc import Callable
from functools import wraps
from typing import Any, get_args

import gradio as gr

from omokage.base.errors import UserError
from omokage.demo.actions import MAX_EDITS, MAX_INTERPOLATED, MAX_SAMPLES, Actions
from omokage.library.model import DEFAULT_GUIDANCE
from omokage.library.settings import MAX_SEED
from omokage.params.sample import Sampler

MAX_WAITING = 16  # computations in the queue; more are refused
# Without a common name, each button would have a queue of its own.
QUEUE = {"concurrency_id": "model", "concurrency_limit": 1}
KEEP_UPLOADS = (600, 3600)  # seconds: how often to look for old uploads, and how old they may become
# The fonts of the system: nothing is loaded from the network.
FONT, MONOSPACE = ["system-ui", "sans-serif"], ["ui-monospace", "monospace"]
CSS = """
figure { margin: 0 }
figure img { display: block; height: auto; image-rendering: pixelated; max-width: 100% }
figcaption { overflow-wrap: anywhere; padding: 0.5em 0 }
.pair { display: grid; gap: 1em; grid-template-columns: repeat(2, minmax(0, 16rem)) }
.pair img { width: 100% }
.tab-container button[role=tab].selected { color: var(--body-text-color) }
@media (max-width: 30rem) { .tab-container button { padding: 0 0.3rem } }
.save { display: inline-block; padding: 0.5em 0; text-decoration: underline }
"""


def make_theme() -> Any:
    """Return the theme of the page. Its colours have the contrast that WCAG 2.2 asks for, unlike Gradio's."""
    theme = gr.themes.Default(primary_hue="indigo", font=FONT, font_mono=MONOSPACE)
    return theme.set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
    )


def build_page(actions: Actions) -> Any:
    """Return the page, a gradio.Blocks. One computation runs at a time."""
    model = actions.model
    # With analytics_enabled, Gradio asks the network for newer versions.
    with gr.Blocks(title="Omokage", analytics_enabled=False, delete_cache=KEEP_UPLOADS) as page:
        gr.Markdown(f"# Omokage\n\nA trained model of faces, {model.image_size} × {model.image_size} pixels.")
        with gr.Tab("Generate"):
            _add_generate(actions)
        with gr.Tab("Denoising"):
            _add_denoising(actions)
        with gr.Tab("Edit"):
            _add_edit(actions)
        with gr.Tab("Interpolate"):
            _add_interpolate(actions)
    page.queue(max_size=MAX_WAITING)
    return page


def _add_generate(actions: Actions) -> None:
    with gr.Row():
        controls = [_add_seed("Seed"), _add_count("Number of images", 16, 1, MAX_SAMPLES)]
    with gr.Row():
        controls += [_add_sampler(), _add_steps(actions, 20), _add_guidance(actions)]
    button, figure = gr.Button("Generate", variant="primary"), gr.HTML()
    _connect(button.click, actions.generate, controls, figure, **QUEUE)


def _add_denoising(actions: Actions) -> None:
    """Add the tab that keeps the frames of a denoising in the session, and shows the one that a slider chooses."""
    with gr.Row():
        controls = [_add_seed("Seed"), _add_sampler(), _add_steps(actions, 20), _add_guidance(actions)]
    button, frames = gr.Button("Denoise", variant="primary"), gr.State([])
    slider = gr.Slider(1, 2, 1, step=1, label="Step", interactive=True, visible=False)
    figure = gr.HTML()

    def denoise(*values: Any) -> tuple[list[str], Any, str]:
        computed = actions.denoise(*values)
        count = len(computed)
        # A slider needs two values; with one frame there is nothing to choose.
        return computed, gr.Slider(maximum=max(2, count), value=count, visible=count > 1), computed[-1]

    def show(computed: list[str], number: float) -> str:
        return computed[min(int(number), len(computed)) - 1] if computed else ""

    _connect(button.click, denoise, controls, [frames, slider, figure], **QUEUE)
    # Without the queue, because showing a frame computes nothing and need not wait.
    _connect(slider.change, show, [frames, slider], figure, queue=False, show_progress="hidden")


def _add_edit(actions: Actions) -> None:
    # All types of files: their content decides, not their name.
    upload = gr.File(label="Image of a face", height=140)
    whole = gr.Checkbox(label="Take the whole image, without face detection")
    with gr.Row():
        strength = gr.Slider(0, 1, 0.5, step=0.05, label="Strength", info="0 keeps the image, 1 starts from noise")
        count = _add_count("Number of edits", 6, 1, MAX_EDITS)
    with gr.Row():
        seed, steps = _add_seed("Seed"), _add_steps(actions, 50)
    button, figure = gr.Button("Edit", variant="primary"), gr.HTML()
    _connect(button.click, actions.edit, [upload, strength, count, seed, steps, whole], figure, **QUEUE)


def _add_interpolate(actions: Actions) -> None:
    with gr.Row():
        controls = [_add_seed("First seed", 0), _add_seed("Second seed", 1)]
        controls.append(_add_count("Number of images", 9, 2, MAX_INTERPOLATED))
    with gr.Row():
        controls += [_add_steps(actions, 20), _add_guidance(actions)]
    button, figure = gr.Button("Interpolate", variant="primary"), gr.HTML()
    _connect(button.click, actions.interpolate, controls, figure, **QUEUE)


def _connect(
    event: Callable[..., Any], function: Callable[..., Any], inputs: Any, outputs: Any, **options: Any
) -> None:
    """Call the function at the event, and show a UserError in the page as one line that stays until it is closed."""

    @wraps(function)
    def explain(*values: Any) -> Any:
        try:
            return function(*values)
        except UserError as error:
            # Gradio takes the message as HTML.
            raise gr.Error(html.escape(str(error)), duration=None, print_exception=False) from error

    event(explain, inputs, outputs, api_visibility="private", **options)


def _add_seed(label: str, value: int = 0) -> Any:
    return gr.Number(value, label=label, precision=0, minimum=0, maximum=MAX_SEED)


def _add_count(label: str, value: int, low: int, high: int) -> Any:
    return gr.Slider(low, high, value, step=1, label=label)


def _add_sampler() -> Any:
    choices = get_args(Sampler)
    return gr.Dropdown(choices, value=choices[0], label="Sampler")


def _add_steps(actions: Actions, value: int) -> Any:
    most = actions.model.spec.timesteps
    return gr.Slider(1, most, min(value, most), step=1, label="Steps", info="network evaluations per image")


def _add_guidance(actions: Actions) -> Any:
    """Add the autoguidance scale, which can only be 1 without the snapshots of the training."""
    if actions.model.snapshots is None:
        info = "needs snapshots.safetensors next to the model"
        return gr.Slider(1, 10, 1, step=0.1, label="Guidance", info=info, interactive=False)
    return gr.Slider(1, 10, DEFAULT_GUIDANCE, step=0.1, label="Guidance", info="1: none")
