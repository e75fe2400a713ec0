"""Judge the training: how far the loss fell, the number of images, the error by noise level, and overfitting."""

from itertools import pairwise
from statistics import fmean

from omokage.report.run import Duration, LossRow, Run
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_count, format_duration, format_number, format_percent, format_signed

# With fewer rows in the loss table, the last tenth is too short to show a trend.
MIN_ROWS_FOR_TREND = 20
NOTABLE_TREND = 0.03  # relative change of the loss over the last tenth of the training
# The generalisation gap (see compute_generalisation_gap) above which a model overfits.
OVERFITTING = 0.15
CHANCE_GAP = 5.0  # in percent
FACES_PER_LEVEL = 96  # as in training/validation.py, which measures the errors on at most so many faces of each set


def judge_training(run: Run) -> Verdict:
    """Judge how far the loss fell and on how many images, and whether the errors show overfitting."""
    short, fall_of_loss = _judge_loss(run.losses, run.init_from)
    steps, faces = run.losses[-1].step, run.faces["train"]
    images = steps * run.batch_size
    paragraphs = [
        fall_of_loss,
        *([_describe_half_size(run.half_size_losses, run.half_size_images)] if run.half_size_images else []),
        f"Training took {format_count(steps, 'step')} of {format_count(run.batch_size, 'image')}. That is {images:,} "
        f"images, or {format_number(images / faces)} epochs of the {faces:,} training faces.",
    ]
    if run.duration.training is not None:
        paragraphs.append(_describe_duration(run.duration, run.duration.training))
    overfitting, explanation = _judge_overfitting(run)
    problems: tuple[str, ...] = (overfitting,) if overfitting else ()
    if images < faces:
        problems += ("too little training",)
        paragraphs.append("Some training faces were never used: train for more steps.")
    if (fall := compute_loss_fall(run)) is not None:
        suffix, trend = _describe_trend(fall, run.decay)
        short += suffix
        paragraphs.append(trend)
    paragraphs.append(f"{_describe_error_by_noise_level(run)} {explanation}".strip())
    return Verdict(short, paragraphs, problems)


def _judge_loss(rows: list[LossRow], init_from: str) -> tuple[str, str]:
    """Return a few words on how far the loss fell from the first row to the last tenth, and sentences with numbers."""
    first, steps = rows[0].loss, rows[0].step
    start = f"{format_number(first)} ({'step 1' if steps == 1 else f'mean of steps 1 to {steps:,}'})"
    if len(rows) == 1:
        return "the loss was recorded only once", f"The training loss was {start}. A single value shows no trend."
    last, count = compute_last_loss(rows)
    end = "last step" if count == 1 else f"mean of the last {count:,} steps"
    verb = "fell" if last < first else "rose"
    text = f"The training loss {verb} from {start} to {format_number(last)} ({end})."
    if init_from != "none":
        short = f"the loss {verb} by {format_percent(abs(1 - last / first))}"
        return short, f"{text} The training started from the model {init_from}, so the loss was low from the start."
    short, explanation = find_band(
        last / first,
        (
            (0.25, ("the loss fell steeply", "")),
            (0.5, ("the loss fell by more than half", "")),
            (0.8, ("the loss fell little", " Much of it remains, so the model is undertrained.")),
        ),
        ("the loss hardly fell", " Train for more steps, or check lr and warmup."),
    )
    return short, text + explanation


def _describe_half_size(rows: list[LossRow], images: int) -> str:
    """Return sentences on the steps at half the size, before the others."""
    steps = format_count(rows[-1].step, "step")
    text = (
        f"Before these steps, the network without its first level was trained for {steps} ({images:,} images) "
        f"at half the image size, and the network started with these weights."
    )
    if len(rows) == 1:
        return text
    first, last = rows[0].loss, compute_last_loss(rows)[0]
    return f"{text} The loss {'fell' if last < first else 'rose'} from {format_number(first)} to {format_number(last)}."


def compute_last_loss(rows: list[LossRow]) -> tuple[float, int]:
    """Return the mean loss over the last tenth of at least two rows, and the number of its steps."""
    tenth = max(1, len(rows) // 10)
    # A row is the mean over the steps since the row before. The last row may have fewer steps than the others.
    counts = [row.step - before.step for before, row in pairwise(rows)][-tenth:]
    return fmean([row.loss for row in rows[-tenth:]], weights=counts), sum(counts)


def _judge_overfitting(run: Run) -> tuple[str, str]:
    """Judge whether the model overfits. Return the name of the problem ("" if there is none), and a sentence."""
    return find_band(
        compute_generalisation_gap(run),
        (
            (OVERFITTING, ("", _describe_gap_over_time(run))),
            (0.4, ("overfitting", "This is clear overfitting.")),
        ),
        (
            "strong overfitting",
            "This is strong overfitting: the model has memorised training faces, and samples may be near copies.",
        ),
    )


def _describe_gap_over_time(run: Run) -> str:
    """Return a sentence on how the difference between the errors on both sets changed during training.

    It is empty if the loss table has the errors of less than two steps.
    """
    errors = [(row.train, row.held_out) for row in run.losses if row.train and row.held_out]
    if len(errors) < 2:
        return ""
    (first_train, first), (last_train, last) = errors[0], errors[-1]
    gaps = [100 * (first / first_train - 1), 100 * (last / last_train - 1)]
    text = f"The difference went from {format_signed(gaps[0])} to {format_signed(gaps[1])}\u00a0% during training, and "
    lowest = min(held_out for _, held_out in errors)
    if last > lowest:
        return f"{text}the held-out error had its minimum, {format_number(lowest)}, before the end."
    text += "the held-out error fell to the end."
    return f"{text} So small a difference can be chance with so few faces." if abs(gaps[1]) <= CHANCE_GAP else text


def compute_loss_fall(run: Run) -> float | None:
    """Return the relative decrease of the loss over the last tenth of the training, or None for a short loss table."""
    losses = [row.loss for row in run.losses]
    if len(losses) < MIN_ROWS_FOR_TREND:
        return None
    tenth = len(losses) // 10
    return 1 - fmean(losses[-tenth:]) / fmean(losses[-2 * tenth : -tenth])


def compute_mean_error(run: Run, split: str) -> float:
    """Return the squared error on a split (`train` or `held_out`), averaged over the noise levels."""
    return fmean(getattr(level, split) for level in run.levels)


def compute_generalisation_gap(run: Run) -> float:
    """Return the mean error on held-out faces divided by the mean error on training faces, minus 1."""
    return compute_mean_error(run, "held_out") / compute_mean_error(run, "train") - 1


def describe_gap(run: Run) -> str:
    """Return a sentence with the mean errors of the EMA network on both splits, and the difference in percent.

    The figures `loss` and `noise_levels` show the same numbers: the last errors in the first, and the means in the
    second.
    """
    gap = compute_generalisation_gap(run)
    when = "With the weights that were kept" if run.keep_best else "At the end of training"
    train, held_out = (format_number(compute_mean_error(run, split)) for split in ("train", "held_out"))
    relation = f"{format_percent(abs(gap))} {'more' if gap >= 0 else 'less'}"
    return (
        f"{when}, the mean error of the EMA network over {format_count(len(run.levels), 'noise level')} is {train} on "
        f"up to {FACES_PER_LEVEL} training faces and {held_out} on as many held-out faces, {relation}."
    )


def _describe_duration(duration: Duration, training: float) -> str:
    text = f"The training took {format_duration(training)} on {duration.device}."
    if duration.total is not None:
        text += f" All stages before this report took {format_duration(duration.total)} together."
    return text


def _describe_trend(fall: float, decay: float) -> tuple[str, str]:
    """Return a suffix for the summary and a sentence that describe the loss over the last tenth of the training.

    `fall` is the relative decrease of the loss to that tenth from the one before, and `decay` the share of the steps
    over which the learning rate falls.
    """
    if fall > NOTABLE_TREND:
        text = f"The mean loss of the last tenth of the steps is {format_percent(fall)} below that of the tenth before."
        text += " Part of this is the effect of the falling learning rate." if decay else ""
        return " and was still falling", f"{text} More steps may help."
    if fall < -NOTABLE_TREND:
        return ", then rose", (
            f"The mean loss of the last tenth of the steps is {format_percent(-fall)} above that of the tenth before, "
            "a sign of a learning rate that is too high."
        )
    return "", "The loss had levelled off by the last tenth of the run: more of the same steps would change little."


def _describe_error_by_noise_level(run: Run) -> str:
    highest = max(run.levels, key=lambda level: level.held_out)
    lowest = min(run.levels, key=lambda level: level.held_out)
    return (
        "The weights of the EMA network are an exponential moving average (EMA) over the steps. On held-out faces, its "
        f"squared error (predicting {run.prediction}) ranges from "
        f"{format_number(lowest.held_out)} at a log-SNR of {format_signed(lowest.log_snr)} to "
        f"{format_number(highest.held_out)} at {format_signed(highest.log_snr)}. The error is largest at "
        f"{_describe_noise(highest.log_snr, run.prediction)}. "
        f"{describe_gap(run)} Both were measured with the same noise, so the difference comes from the faces."
    )


def _describe_noise(log_snr: float, prediction: str) -> str:
    """Return words for a noise level, and what makes the prediction (eps, x0 or v) difficult there."""
    if log_snr > 2:
        if prediction == "x0":
            return "low noise, where the image is nearly clean"
        target = "the noise" if prediction == "eps" else "nearly the noise"
        return f"low noise, where the target is {target}, which is hard to see in a nearly clean image"
    if log_snr < -2:
        if prediction == "eps":
            return "high noise, where the input is nearly the noise to predict"
        return "high noise, where almost nothing of the image is left and only its colour and layout can be guessed"
    return "medium noise, where the shapes of a face are decided"
