"""Describe problems of style: drifted colours, and too little or too much sharpness, contrast or saturation."""

from collections.abc import Callable
from functools import partial

from omokage.report.run import Run
from omokage.report.style import COLOURS, DRIFT, MISSING_DARK, describe_dark_images, judge_colour_drift, list_shifts
from omokage.report.verdict import Problem
from omokage.report.wording import format_number, format_percent

# Log-SNR below which guidance shifts colours: guided only above it, samples had the colours of unguided ones.
HIGH_NOISE = -3.0


def _describe_colour_drift(run: Run) -> Problem:
    largest = format_number(round(max(abs(run.metrics["style_floor"][colour]) for colour in COLOURS), 1))
    evidence = (
        f"The mean colours of the samples differ from those of held-out faces by {list_shifts(run)}, of 255. "
        f"Those of training faces differ by {largest} at most."
    )
    if run.guidance_scale > 1 and run.guidance_min_log_snr < HIGH_NOISE:
        return Problem(
            evidence,
            f"autoguidance at scale {format_number(run.guidance_scale)}. At high noise, where the overall colour is "
            "decided, guidance enlarges small errors of the colour.",
            "raise guidance_min_log_snr, so that guidance spares the high noise, or lower guidance_scale.",
            ("guidance_min_log_snr", "guidance_scale"),
            "style",
        )
    return Problem(evidence, _explain_colours(run), *_remedy_colours(run), "style")


def _remedy_colours(run: Run) -> tuple[str, tuple[str, ...]]:
    """Return what to change, and the parameters that these are."""
    if not run.sampler.startswith("ddpm"):
        return "raise steps.", ("steps",)
    return (
        "raise steps, or try sampler: dpm-solver++. With it, that model drifted by +5, +4 and +6 instead of +8, +6 and "
        "+11 (without autoguidance), but the Fréchet distance was higher (docs/ablation.md).",
        ("steps", "sampler"),
    )


def _explain_colours(run: Run) -> str:
    """Return the cause of wrong colours that was measured on a run of the project, for the sampler of this run."""
    cause = "the error of the network at high noise, where the overall colour is decided."
    if run.sampler.startswith("ddpm"):
        cause += (
            " An earlier model of the project (64 pixels, 2026-12-01) underestimated how far an image's mean colour is "
            "from the average. With ancestral sampling, the mean colours of the samples spread by 17 of 255, those of "
            "real faces by 24."
        )
    return cause


def _describe_dark_images(run: Run) -> Problem:
    cause, remedy = _explain_colours(run), _remedy_colours(run)
    if judge_colour_drift(run)[0] == DRIFT:
        cause, remedy = "that of the colour drift.", ("first what is advised for the colour drift.", ())
    return Problem(describe_dark_images(run), cause, *remedy, "style")


def _describe_style(name: str, run: Run) -> Problem:
    ratio, floor = (format_percent(run.metrics[key][name.split()[1]]) for key in ("style", "style_floor"))
    evidence = f"The samples have {ratio} of the {name.split()[1]} of held-out faces; training faces have {floor}."
    is_guided = run.guidance_scale > 1
    parameters: tuple[str, ...]
    if name == "low sharpness":
        cause = "fine detail is missing. The network is undertrained at low noise, or the sampler takes too few steps."
        remedy, parameters = "raise steps or sample_steps.", ("steps", "sample_steps")
    elif name == "high sharpness":
        cause = "grain. The sampler leaves noise, since it takes too few steps or the network is undertrained."
        remedy, parameters = "raise sample_steps or steps.", ("sample_steps", "steps")
    elif name.startswith("high") and is_guided:
        cause = (
            f"autoguidance at scale {format_number(run.guidance_scale)}, which exaggerates what the network learned."
        )
        remedy, parameters = "lower guidance_scale.", ("guidance_scale",)
    elif name.startswith("high"):
        cause = "errors of the sampler, which add up over too few steps, or too little training."
        remedy, parameters = "raise sample_steps or steps.", ("sample_steps", "steps")
    else:
        cause = "too little training. An undertrained network predicts averages of many faces."
        remedy, parameters = "raise steps.", ("steps",)
        if not is_guided:
            remedy, parameters = "raise steps, or guidance_scale above 1.", ("steps", "guidance_scale")
    return Problem(evidence, cause, remedy, parameters, "style")


STYLE_PROBLEMS: dict[str, Callable[[Run], Problem]] = {
    DRIFT: _describe_colour_drift,
    MISSING_DARK: _describe_dark_images,
    **{
        f"{degree} {measure}": partial(_describe_style, f"{degree} {measure}")
        for degree in ("low", "high")
        for measure in ("sharpness", "contrast", "saturation")
    },
}
