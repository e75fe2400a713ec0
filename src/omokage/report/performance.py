"""How the training went: how the loss fell, over how many pictures, and how the error lies over the noise levels."""

from statistics import fmean

from omokage.report.run import Run
from omokage.report.verdict import Verdict, band
from omokage.report.words import count, number, percent, signed


def performance(run: Run) -> Verdict:
    """Say how the loss fell, over how many pictures, and how the error lies over the noise levels."""
    losses = [row.loss for row in run.losses]
    tenth = max(1, len(losses) // 10)
    first, last = losses[0], fmean(losses[-tenth:])
    left = last / first
    short, said = band(
        left,
        (
            (0.25, "the loss fell steeply", "most of what the network could not predict at first it now can"),
            (0.5, "the loss fell by more than half", "more than half of the first error is gone"),
            (0.8, "the loss fell little", "much of the first error is still there: this is an undertrained model"),
        ),
        ("the loss hardly fell", "almost nothing was learned: train for more steps, or look at lr and warmup"),
    )
    steps, trained = run.losses[-1].step, run.faces["train"]
    seen = steps * run.batch_size
    paragraphs = [
        f"The training loss went from {number(first)} in the first row of its table to {number(last)}, the mean of the "
        f"last {count(tenth, 'row')}: {percent(left)} of the first error is left, so {said}. That took "
        f"{count(steps, 'step')} of {count(run.batch_size, 'picture')}: {seen:,} pictures seen, or "
        f"{number(seen / trained)} passes over the {trained:,} faces to train on."
    ]
    problems: tuple[str, ...] = ()
    if seen < trained:
        problems = ("too little training",)
        paragraphs.append("Not every face was seen even once: train for more steps.")
    if len(losses) >= 20:
        before = fmean(losses[-2 * tenth : -tenth])
        fall = 1 - last / before
        if fall > 0.03:
            short += " and was still falling"
            trend = (
                f"was still falling, by {percent(fall)} over the last tenth of the run: more steps would likely help"
            )
        elif fall < -0.03:
            short += ", then rose"
            trend = (
                f"rose by {percent(-fall)} over the last tenth of the run: a sign of a learning rate that is too high"
            )
        else:
            trend = "had levelled off by the last tenth of the run: more of the same steps would change little"
        paragraphs.append(f"The loss {trend}. It alone does not say how the pictures look.")
    return Verdict(short, [*paragraphs, _by_noise(run)], problems)


def mean_error(run: Run, split: str) -> float:
    """Return the mean over the noise levels of the error on the faces of a split, `train` or `held_out`."""
    return fmean(getattr(level, split) for level in run.levels)


def gap(run: Run) -> float:
    """Return by what fraction the error on held-out faces is higher than on faces trained on."""
    return mean_error(run, "held_out") / mean_error(run, "train") - 1


def _by_noise(run: Run) -> str:
    worst = max(run.levels, key=lambda level: level.held_out)
    best = min(run.levels, key=lambda level: level.held_out)
    where = (
        "where next to nothing of the picture is left and only its overall colour and layout can be guessed"
        if worst.log_snr < -2
        else "where the picture is nearly clean and only fine detail is in question"
        if worst.log_snr > 2
        else "halfway, where the shapes of a face are decided"
    )
    return (
        f"By noise level, the averaged network's squared error (of its {run.prediction} prediction) on held-out faces "
        f"runs from {number(best.held_out)} at a log signal-to-noise ratio of {signed(best.log_snr)} to "
        f"{number(worst.held_out)} at {signed(worst.log_snr)}: the error is largest {where}. Over all levels it is "
        f"{number(mean_error(run, 'train'))} on faces trained on and {number(mean_error(run, 'held_out'))} on held-out "
        "ones."
    )
