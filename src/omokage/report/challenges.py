"""The catalogue of problems: the numbers that show each one, a cause, and the parameters to change."""

from collections.abc import Callable
from functools import partial

from omokage.report.run import Run
from omokage.report.style_challenges import STYLE_PROBLEMS
from omokage.report.training_loss import compute_generalisation_gap, compute_loss_fall, compute_mean_error
from omokage.report.verdict import Problem
from omokage.report.wording import format_count, format_number, format_percent, format_signed

# The parameters that keep more images, by the reason for which most faces were dropped.
KEEP_MORE = {"no face found": "crop_likelihood", "too small": "min_side", "blurred": "min_sharpness"}
KEEP_MORE |= {"uniform": "min_contrast", "colourless": "min_colour"}


def describe_problem(name: str, run: Run) -> Problem:
    """Return the description of a problem of a run. `name` is one of CATALOGUE."""
    return CATALOGUE[name](run)


def _describe_collapse(run: Run) -> Problem:
    recall, coverage = (
        f"{format_percent(run.metrics[key])} (real faces: {format_percent(run.metrics[f'{key}_floor'])})"
        for key in ("recall", "coverage")
    )
    evidence = f"The samples cover {recall} of the real faces, and {coverage} of them have a sample close by."
    if run.guidance_scale > 1:
        return Problem(
            evidence,
            f"autoguidance at scale {format_number(run.guidance_scale)} favours common faces, or training diverged.",
            "lower guidance_scale, then lr.",
            ("guidance_scale", "lr"),
            "samples",
        )
    cause = "the training diverged, or is too short to tell noise levels apart."
    return Problem(evidence, cause, "lower lr, or raise steps.", ("lr", "steps"), "samples")


def _describe_low_precision(run: Run) -> Problem:
    return Problem(
        _compare_with_real("precision", run),
        "the training is too short, or the sampler takes too few steps.",
        "raise steps, then sample_steps: both raised precision in docs/ablation.md, at 64 pixels.",
        ("steps", "sample_steps"),
        "scores",
    )


def _describe_low_recall(run: Run) -> Problem:
    cause, remedy = "the training is too short.", "raise steps, which raised recall in docs/ablation.md, at 64 pixels."
    parameters: tuple[str, ...] = ("steps",)
    if run.guidance_scale > 1:
        cause = (
            f"the training is too short, or autoguidance at scale {format_number(run.guidance_scale)} is too strong."
        )
        remedy = f"{remedy[:-1]}, or lower guidance_scale."
        parameters = ("steps", "guidance_scale")
    return Problem(_compare_with_real("recall", run), cause, remedy, parameters, "scores")


def _compare_with_real(key: str, run: Run) -> str:
    value, real = (format_percent(run.metrics[name]) for name in (key, f"{key}_floor"))
    return f"The {key} of the samples is {value}; that of real faces is {real}."


def _describe_repeated_samples(run: Run) -> Problem:
    metrics = run.metrics
    identical, near, floor = (
        format_percent(metrics[key]) for key in ("identical", "near_identical", "near_identical_floor")
    )
    return Problem(
        f"Of {format_count(metrics['n'], 'sample')}, {identical} equal an earlier one in every pixel, and {near} are "
        f"nearly identical to another. Of real faces, {floor} are.",
        "mode collapse has begun: guidance is too strong, or the training diverged or is too short.",
        "lower guidance_scale or lr, or raise steps.",
        ("guidance_scale", "lr", "steps"),
        "samples",
    )


def _describe_uniform_samples(run: Run) -> Problem:
    return Problem(
        f"{format_percent(run.metrics['uniform'])} of the samples have a single colour.",
        "the training diverged: the output of the network no longer depends on the noise.",
        "lower lr, or raise warmup, and train again.",
        ("lr", "warmup"),
        "samples",
    )


def _describe_memorisation(run: Run) -> Problem:
    return Problem(
        f"{format_percent(run.metrics['copied'])} of the samples are suspected copies of training faces. Of held-out "
        f"faces, {format_percent(run.metrics['copied_floor'])} are.",
        f"{format_count(run.faces['train'], 'training face')} are too few for a network of this size and this many "
        "steps.",
        "add images, raise dropout, lower steps, or lower model_channels.",
        ("dropout", "steps", "model_channels"),
        "neighbours",
    )


def _describe_closeness(run: Run) -> Problem:
    return Problem(
        f"{format_percent(run.metrics['close'])} of the samples are closer to the training set, relative to the "
        f"held-out set, than {format_percent(1 - run.metrics['close_floor'])} of the held-out faces. "
        f"{format_percent(run.metrics['copied'])} are suspected copies (held-out faces: "
        f"{format_percent(run.metrics['copied_floor'])}).",
        "the network has begun to learn single training faces.",
        "look at the pairs in the figure; add images, raise dropout, or lower steps.",
        ("dropout", "steps"),
        "neighbours",
    )


def _describe_overfitting(run: Run) -> Problem:
    train, held_out = (format_number(compute_mean_error(run, split)) for split in ("train", "held_out"))
    widest = max(run.levels, key=lambda level: level.held_out / level.train)
    return Problem(
        f"The mean error is {train} on training faces and {held_out} on held-out faces, "
        f"{format_percent(compute_generalisation_gap(run))} higher. At a log-SNR of {format_signed(widest.log_snr)} "
        f"held-out faces have the largest excess, {format_percent(widest.held_out / widest.train - 1)}.",
        f"the network saw each of the {run.faces['train']:,} training faces "
        f"{format_number(_count_images(run) / run.faces['train'])} times, and learned them instead of what they share.",
        "add images, raise dropout, or lower steps. Set flip if faces look left as often as right.",
        ("dropout", "steps", "flip"),
        "noise_levels",
        is_measured=True,
    )


def _describe_small_set(run: Run) -> Problem:
    return Problem(
        f"The training set has {format_count(run.faces['train'], 'face')}. Models of this kind vary freely with tens "
        "of thousands, and can memorise fewer.",
        f"the source has only {format_count(run.faces['pictures'], 'image')}, of which "
        f"{run.faces['pictures_kept']:,} gave a face.",
        "add images. With source: avatars, raise avatar_count.",
        ("source", "avatar_count"),
        "data_card",
        is_measured=True,
    )


def _describe_short_training(run: Run) -> Problem:
    return Problem(
        f"The training took {format_count(_count_images(run), 'image')} from {run.faces['train']:,} training faces, so "
        "some were never used.",
        "the training is shorter than one epoch.",
        "raise steps.",
        ("steps",),
        "loss",
        is_measured=True,
    )


def _describe_trend(is_falling: bool, run: Run) -> Problem:
    fall = compute_loss_fall(run) or 0.0
    evidence = f"The mean loss of the last tenth of the training is {format_percent(abs(fall))} "
    evidence += f"{'below' if is_falling else 'above'} that of the tenth before."
    if is_falling:
        cause = "the training ended before the loss levelled off."
        if run.decay:
            cause += " The falling learning rate lowers the loss at the end of any training, too."
        remedy = "raise steps, and compare the distances of both runs."
        return Problem(evidence + _describe_last_scores(run), cause, remedy, ("steps",), "loss")
    return Problem(
        evidence,
        "a learning rate that is too high, so that the updates no longer converge.",
        "lower lr, or raise warmup.",
        ("lr", "warmup"),
        "loss",
    )


def _describe_last_scores(run: Run) -> str:
    """Return a sentence on the distance at the last two training snapshots, or "" if it was not measured."""
    if len(run.progress) < 2:
        return ""
    (start, before), (end, after) = (
        (int(row["step"]), format_number(float(row["distance"]))) for row in run.progress[-2:]
    )
    return (
        f" The distance of {run.progress[-1]['n']} samples was {before} at step {start:,} and {after} at step {end:,}."
    )


def _describe_dropped(run: Run) -> Problem:
    faces = run.faces
    reason, count = max(faces["dropped"].items(), key=lambda entry: entry[1], default=("unknown", 0))
    parameter = KEEP_MORE.get(reason)
    return Problem(
        f"Of {format_count(faces['pictures'], 'image')}, {faces['pictures_dropped']:,} "
        f"({format_percent(faces['pictures_dropped'] / faces['pictures'])}) gave no face.",
        f"the most frequent reason for dropping a face is: {reason} ({count:,}).",
        "replace these files." if parameter is None else f"lower {parameter}, if the dropped faces are good ones.",
        () if parameter is None else (parameter,),
        "data_card",
        is_measured=True,
    )


def _describe_few_samples(run: Run) -> Problem:
    return Problem(
        f"The scores rest on {format_count(run.metrics['n'], 'sample')}, which are too few to compare runs.",
        "the parameter samples is low.",
        "raise samples to at least 1,000 before you compare runs.",
        ("samples",),
        "scores",
        is_measured=True,
    )


def _count_images(run: Run) -> int:
    return run.losses[-1].step * run.batch_size


# By the name that verdicts use, in the order of the report.
CATALOGUE: dict[str, Callable[[Run], Problem]] = {
    "many images dropped": _describe_dropped,
    "small training set": _describe_small_set,
    "too little training": _describe_short_training,
    "still learning": partial(_describe_trend, True),
    "rising loss": partial(_describe_trend, False),
    "overfitting": _describe_overfitting,
    "strong overfitting": _describe_overfitting,
    "memorisation": _describe_memorisation,
    "copies of training faces": _describe_memorisation,
    "samples close to training faces": _describe_closeness,
    "repeated samples": _describe_repeated_samples,
    "uniform samples": _describe_uniform_samples,
    "mode collapse": _describe_collapse,
    "low precision": _describe_low_precision,
    "low recall": _describe_low_recall,
    **STYLE_PROBLEMS,
    "too few samples": _describe_few_samples,
}
