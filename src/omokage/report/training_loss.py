"""Judge the training: how far the loss fell, the number of images, and the error by noise level."""

from statistics import fmean

from omokage.report.run import Duration, Run
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_count, format_duration, format_number, format_percent, format_signed

# With fewer rows in the loss table, the last tenth is too short to show a trend.
MIN_ROWS_FOR_TREND = 20


def judge_training(run: Run) -> Verdict:
    """Judge how far the loss fell and on how many images, and describe the error by noise level."""
    losses = [row.loss for row in run.losses]
    tenth = max(1, len(losses) // 10)
    first, last = losses[0], fmean(losses[-tenth:])
    short, explanation = find_band(
        last / first,
        (
            (0.25, "the loss fell steeply", "the network now predicts most of what it could not predict at first"),
            (0.5, "the loss fell by more than half", "more than half of the initial loss is gone"),
            (0.8, "the loss fell little", "much of the initial loss remains, so the model is undertrained"),
        ),
        ("the loss hardly fell", "almost nothing was learned; train for more steps, or check lr and warmup"),
    )
    steps, faces = run.losses[-1].step, run.faces["train"]
    images = steps * run.batch_size
    paragraphs = [
        f"The training loss went from {format_number(first)} in the first row of its table to {format_number(last)}, "
        f"the mean of the last {format_count(tenth, 'row')}. That leaves {format_percent(last / first)} of the initial "
        f"loss: {explanation}.",
        f"Training took {format_count(steps, 'step')} of {format_count(run.batch_size, 'image')}. That is {images:,} "
        f"images, or {format_number(images / faces)} epochs of the {faces:,} training faces.",
    ]
    if run.duration.training is not None:
        paragraphs.append(_describe_duration(run.duration, run.duration.training))
    problems: tuple[str, ...] = ()
    if images < faces:
        problems = ("too little training",)
        paragraphs.append("Some training faces were never used: train for more steps.")
    if (fall := compute_loss_fall(run)) is not None:
        suffix, trend = _describe_trend(fall)
        short += suffix
        paragraphs.append(f"{trend} The loss alone does not say how the samples look.")
    return Verdict(short, [*paragraphs, _describe_error_by_noise_level(run)], problems)


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
    train, held_out = (format_number(compute_mean_error(run, split)) for split in ("train", "held_out"))
    relation = f"{format_percent(abs(gap))} {'more' if gap >= 0 else 'less'}"
    return (
        f"At the end of training, the mean error of the EMA network over all noise levels is {train} on training faces "
        f"and {held_out} on as many held-out faces, {relation}."
    )


def _describe_duration(duration: Duration, training: float) -> str:
    text = f"The training took {format_duration(training)} on {duration.device}."
    if duration.total is not None:
        text += f" All stages before this report took {format_duration(duration.total)} together."
    return text


def _describe_trend(fall: float) -> tuple[str, str]:
    """Return a suffix for the summary and a sentence that describe the loss over the last tenth of the training.

    `fall` is the relative decrease of the loss in that tenth.
    """
    if fall > 0.03:
        return " and was still falling", (
            f"The loss was still falling, by {format_percent(fall)} over the last tenth of the run: more steps would "
            "likely help."
        )
    if fall < -0.03:
        return ", then rose", (
            f"The loss rose by {format_percent(-fall)} over the last tenth of the run, a sign of a learning rate that "
            "is too high."
        )
    return "", "The loss had levelled off by the last tenth of the run: more of the same steps would change little."


def _describe_error_by_noise_level(run: Run) -> str:
    highest = max(run.levels, key=lambda level: level.held_out)
    lowest = min(run.levels, key=lambda level: level.held_out)
    place = (
        "high noise, where almost nothing of the image is left and only its overall colour and layout can be guessed"
        if highest.log_snr < -2
        else "low noise, where the image is nearly clean and only fine detail is uncertain"
        if highest.log_snr > 2
        else "medium noise, where the shapes of a face are decided"
    )
    return (
        f"On held-out faces, the squared error of the EMA network (predicting {run.prediction}) ranges from "
        f"{format_number(lowest.held_out)} at a log-SNR of {format_signed(lowest.log_snr)} to "
        f"{format_number(highest.held_out)} at {format_signed(highest.log_snr)}. Log-SNR is the logarithm of the "
        f"signal-to-noise ratio, in nats: the higher, the less noise. The error is largest at {place}. "
        f"{describe_gap(run)} Both were measured with the same noise, so the difference comes from the faces."
    )
