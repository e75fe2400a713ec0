"""Describe what each figure shows, with the numbers of the run, for readers who do not see it.

The caption of a figure says what it is (captions.py). The alternative text (alt) says what can be read from it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from omokage.report.captions import CAPTIONS
from omokage.report.evidence import Evidence, name_counterpart
from omokage.report.style import RATIOS, list_shifts
from omokage.report.training_loss import compute_last_loss
from omokage.report.trials import group_trials
from omokage.report.wording import format_count, format_number, format_signed, join_words

# A predicted image with at most this root mean square difference from the clean image looks like it, of 255.
SIMILAR = 10.0
MAX_SAMPLER_ROWS = 6  # as in figures/samplers.py


def describe_figure(name: str, evidence: Evidence) -> str:
    """Return the alternative text of the figure `name`, a key of CAPTIONS: its caption if ALT_TEXTS has none."""
    return ALT_TEXTS[name](evidence) if name in ALT_TEXTS else CAPTIONS[name].text


def _describe_samples(evidence: Evidence) -> str:
    metrics, side = evidence.run.metrics, evidence.params["grid_side"]
    return (
        f"A grid of up to {side} × {side} of {metrics['n']:,} samples on the left, and one of held-out faces on the "
        f"right. The mean colour of all samples differs by {list_shifts(evidence.run)} (of 255), and their sharpness "
        f"is {format_number(metrics['style']['sharpness'])} times that of held-out faces."
    )


def _describe_denoising(evidence: Evidence) -> str:
    frames = evidence.frames
    clean = frames["x0"][-1].astype(float)
    errors = np.sqrt(((frames["x0"].astype(float) - clean) ** 2).mean((1, 2, 3, 4))).tolist()
    # The frames after the last one that differs visibly. The clean image always is one of them.
    similar = max((i for i, error in enumerate(errors) if error > SIMILAR), default=-1) + 1
    level = format_signed(float(frames["log_snr"][similar]))
    when = "only in the clean image" if similar == len(errors) - 1 else f"from a log-SNR of {level} on"
    return (
        "Noise turns into faces. From pure noise, the network predicts an image that differs from the final one by "
        f"{format_number(errors[0])} of 255 (root mean square). The difference is at most {format_number(SIMILAR)} "
        f"{when}."
    )


def _describe_animation(evidence: Evidence) -> str:
    start = int(evidence.frames["t"][0])
    return f"An animation in which noise turns into faces, from timestep {start} to the clean image."


def _describe_between(evidence: Evidence) -> str:
    count = evidence.params["transform_between"]
    text = f"Rows of {format_count(count, 'sample')}. The first and the last of a row start from different noise"
    if count > 2:
        text += ", and the noise of those between them lies at even angles on the arc from one to the other"
    return f"{text}."


def _describe_score(metrics: Mapping[str, Any], key: str, name: str) -> str:
    interval = ""
    if f"{key}_low" in metrics:
        interval = f" (95\u00a0% interval {format_number(metrics[f'{key}_low'])} to "
        interval += f"{format_number(metrics[f'{key}_high'])})"
    return f"{name} {format_number(metrics[key])}{interval}, real faces {format_number(metrics[f'{key}_floor'])}"


def _describe_scores(evidence: Evidence) -> str:
    metrics = evidence.run.metrics
    names = {"distance": metrics["score"], "kid": "KID"} | {
        key: key for key in ("precision", "recall", "density", "coverage")
    }
    return "; ".join(_describe_score(metrics, key, name) for key, name in names.items()) + "."


def _describe_progress(evidence: Evidence) -> str:
    rows = evidence.run.progress
    if not rows:
        steps = format_count(evidence.run.losses[-1].step, "step")
        return f"After {steps}: {_describe_score(evidence.run.metrics, 'distance', evidence.run.metrics['score'])}."
    first, last = (
        f"{format_number(float(row['distance']))} at step {int(row['step']):,}" for row in (rows[0], rows[-1])
    )
    best = min(rows, key=lambda row: float(row["distance"]))
    text = f"The distance goes from {first} to {last}"
    if best is not rows[-1] and best is not rows[0]:
        text += f", with its minimum of {format_number(float(best['distance']))} at step {int(best['step']):,}"
    return f"{text}."


def _describe_study(evidence: Evidence) -> str:
    run, params = evidence.run, evidence.params
    own = _describe_score(run.metrics, "distance", run.metrics["score"])
    text = f"The samples of this run, with {params['sampler']} and {params['sample_steps']} evaluations: {own}."
    if run.study:
        best = min(run.study, key=lambda row: float(row["distance"]))
        text += (
            f" The lowest distance of the study is {format_number(float(best['distance']))}, with {best['weights']} "
            f"weights, {best['sampler']} and {best['evaluations']} evaluations."
        )
    return text


def _describe_samplers(evidence: Evidence) -> str:
    run, params = evidence.run, evidence.params
    text = (
        f"Samples with one seed in each column: {params['sampler']} with {params['sample_steps']} evaluations of the "
        f"network in the first row, {name_counterpart(params['sampler'])} with as many in the second."
    )
    shown = {
        (params["ema_kind"], name, params["sample_steps"])
        for name in (params["sampler"], name_counterpart(params["sampler"]))
    }
    others = {(row["weights"], row["sampler"], int(row["evaluations"])) for row in run.study} - shown
    count = min(len(others), MAX_SAMPLER_ROWS - len(shown))
    return f"{text} Below: {format_count(count, 'set')} of sampler_study." if count else text


def _describe_style(evidence: Evidence) -> str:
    ratios = join_words([f"{name} {format_number(evidence.run.metrics['style'][name])}" for name in RATIOS])
    return (
        f"The mean colours of the samples differ from those of held-out faces by {list_shifts(evidence.run)} (of 255). "
        f"Relative to held-out faces, the samples have {ratios}."
    )


def _describe_neighbours(evidence: Evidence) -> str:
    metrics = evidence.run.metrics
    return (
        "The samples with the smallest distances to a training face, and their nearest faces of both sets. The copy "
        "ratio, the distance to the nearest training face divided by that to the nearest held-out face, is "
        f"{format_number(metrics['copy_ratio'])} for the samples and {format_number(metrics['copy_ratio_floor'])} for "
        "real faces."
    )


def _describe_loss(evidence: Evidence) -> str:
    run = evidence.run
    first, last = run.losses[0].loss, compute_last_loss(run.losses)[0] if len(run.losses) > 1 else run.losses[0].loss
    return (
        f"The training loss goes from {format_number(first)} to {format_number(last)} (mean of the last tenth) over "
        f"{format_count(run.losses[-1].step, 'step')}."
    )


def _describe_noise_levels(evidence: Evidence) -> str:
    levels = sorted(evidence.run.levels, key=lambda level: level.log_snr)
    least = min(levels, key=lambda level: level.held_out)
    noisiest, smallest, cleanest = (
        f"{format_number(level.held_out)} at {format_signed(level.log_snr)}" for level in (levels[0], least, levels[-1])
    )
    return f"Along the log-SNR, the error on held-out faces is {noisiest}, {smallest} (its minimum) and {cleanest}."


def _describe_transformed(evidence: Evidence) -> str:
    strengths = join_words([f"{100 * strength:.0f}\u00a0%" for strength in evidence.params["transform_strengths"]])
    low, high = (format_number(limit(evidence.round_trip)) for limit in (min, max))
    return (
        f"Held-out faces, and their edits at strengths of {strengths}. The DDIM round trip returns the faces with root "
        f"mean square errors of {low} to {high} (of 255)."
    )


def _describe_schedule(evidence: Evidence) -> str:
    params, frames = evidence.params, evidence.frames
    return (
        f"The {params['schedule']} schedule, in colour, over {params['timesteps']:,} timesteps: the share of the image "
        f"and the log-SNR fall with the timestep. At t = {int(frames['t'][0])}, where the sampler starts, the log-SNR "
        f"is {format_signed(float(frames['log_snr'][0]))} nats."
    )


def _describe_noising(evidence: Evidence) -> str:
    return (
        f"With the {evidence.params['schedule']} schedule, a face of {evidence.params['image_size']} pixels turns into "
        "noise with the timestep. Image and noise are equally strong at a log-SNR of 0."
    )


def _describe_data_card(evidence: Evidence) -> str:
    faces = evidence.run.faces
    dropped = [f"{count:,} ({reason})" for reason, count in sorted(faces["dropped"].items())]
    return (
        f"{faces['train']:,} training faces and {faces['held_out']:,} held-out faces. "
        f"Dropped: {join_words(dropped) if dropped else 'none'}."
    )


def _describe_contact(evidence: Evidence) -> str:
    faces = evidence.run.faces
    return (
        f"Source images with a frame around each crop. {faces['kept']:,} faces of {faces['pictures']:,} images were "
        f"kept: {faces['detected']:,} cropped from larger images, and {faces['whole']:,} images used whole."
    )


def _describe_architecture(evidence: Evidence) -> str:
    levels = [part for part in evidence.network if part["kind"] == "down"]
    sides = sorted({part["side"] for part in evidence.network if part["heads"]}, reverse=True)
    size, full = (
        evidence.network[-1]["side"] // levels[0]["side"],
        [p for p in evidence.network if p["kind"] == "finish"],
    )
    patches = f"patches of {size} × {size} pixels, " if size > 1 else ""
    finish = f", a block of {full[0]['side']} × {full[0]['side']} positions" if full else ""
    attention = f"Self-attention at {join_words([f'{side} pixels' for side in sides])}." if sides else "No attention."
    return (
        f"The UNet from the noisy image to its prediction: {patches}{format_count(len(levels), 'level')} of "
        f"{join_words([str(part['side']) for part in levels])} pixels with "
        f"{join_words([str(part['channels']) for part in levels])} channels down, as many levels up{finish}, and skip "
        f"connections between them. The noise level is an input of every block. {attention} "
        f"{sum(part['parameters'] for part in evidence.network):,} parameters."
    )


def _describe_hyperparameters(evidence: Evidence) -> str:
    trials = group_trials(evidence.run.trials)
    if not trials:
        return "The table of the study is empty."
    best, worst = (f"{format_number(trial.distance)} ({trial.label})" for trial in (trials[0], trials[-1]))
    return f"Distances of {format_count(len(trials), 'combination')}, from {best} to {worst}."


# By the names of CAPTIONS. A test requires an entry for each figure of the project.
ALT_TEXTS: dict[str, Callable[[Evidence], str]] = {
    "samples": _describe_samples,
    "architecture": _describe_architecture,
    "animation": _describe_animation,
    "denoising": _describe_denoising,
    "between": _describe_between,
    "samplers": _describe_samplers,
    "scores": _describe_scores,
    "progress": _describe_progress,
    "study": _describe_study,
    "style": _describe_style,
    "neighbours": _describe_neighbours,
    "loss": _describe_loss,
    "noise_levels": _describe_noise_levels,
    "hyperparameters": _describe_hyperparameters,
    "transformed": _describe_transformed,
    "schedule": _describe_schedule,
    "noising": _describe_noising,
    "data_card": _describe_data_card,
    "contact": _describe_contact,
}
