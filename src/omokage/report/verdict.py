"""What a run's numbers say: each verdict is computed, so that another run gets other words."""

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from omokage.report.words import count, listed, number, percent, times


@dataclass(frozen=True)
class Loss:
    """One row of the loss table: the mean training loss over the steps since the row before."""

    step: int
    loss: float


@dataclass(frozen=True)
class Level:
    """The averaged network's mean squared error at one noise level; log_snr in nats."""

    log_snr: float
    train: float
    held_out: float


@dataclass(frozen=True)
class Run:
    """All that a report judges: the tables, the scores, the curation, the training's parameters, and two mean colours.

    `samples_colour` and `held_out_colour` are the mean red, green and blue of pictures scaled to [0, 1].
    """

    losses: list[Loss]
    levels: list[Level]
    metrics: dict[str, Any]
    faces: dict[str, Any]
    batch_size: int
    prediction: str
    samples_colour: list[float]
    held_out_colour: list[float]


@dataclass(frozen=True)
class Verdict:
    """A judgement in a few words, and the paragraphs that give its reasons."""

    short: str
    paragraphs: list[str]


def performance(run: Run) -> Verdict:
    """Say how the loss fell, over how many pictures, and how the error lies over the noise levels."""
    losses = [row.loss for row in run.losses]
    tenth = max(1, len(losses) // 10)
    first, last = losses[0], fmean(losses[-tenth:])
    left = last / first
    short, said = _band(
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
    return Verdict(short, [*paragraphs, _by_noise(run)])


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
        f"runs from {number(best.held_out)} at a log signal-to-noise ratio of {_signed(best.log_snr)} to "
        f"{number(worst.held_out)} at {_signed(worst.log_snr)}: the error is largest {where}. Over all levels it is "
        f"{number(_mean(run, 'train'))} on faces trained on and {number(_mean(run, 'held_out'))} on held-out ones."
    )


def difficulties(run: Run) -> Verdict:
    """Say what went wrong or stood in the way: lost pictures, few pictures, overfitting, colour drift."""
    found: list[str] = []
    faces, paragraphs = run.faces, []
    reasons = {reason: lost for reason, lost in faces["dropped"].items() if lost}
    lost = sum(reasons.values())
    if lost:
        listing = listed([f"{reason.replace('_', ' ')} ({amount:,})" for reason, amount in sorted(reasons.items())])
        paragraphs.append(
            f"Of {count(faces['pictures'], 'picture')}, {lost:,} ({percent(lost / faces['pictures'])}) were dropped: "
            f"{listing}. {faces['detected']:,} faces were cut out of a larger picture, {faces['whole']:,} pictures "
            "were taken whole."
        )
        if lost > faces["pictures"] / 10:
            found.append("many pictures dropped")
    else:
        paragraphs.append(f"None of the {count(faces['pictures'], 'picture')} was dropped.")
    if faces["train"] < 5000:
        found.append("few pictures")
        paragraphs.append(
            f"{count(faces['train'], 'face')} to train on are few: models of this kind vary freely with tens of "
            "thousands, and with fewer they can learn them by heart."
        )
    short, words = _overfitting(run)
    paragraphs.append(words)
    drift, words = _colour(run)
    paragraphs.append(words)
    found += [problem for problem in (short, drift) if problem]
    return Verdict(listed(found) if found else "none that the numbers show", paragraphs)


def _overfitting(run: Run) -> tuple[str, str]:
    gap = _mean(run, "held_out") / _mean(run, "train") - 1
    widest = max(run.levels, key=lambda level: level.held_out / level.train)
    short, said = _band(
        gap,
        (
            (0.05, "", "no sign of overfitting"),
            (0.15, "", "a slight gap, as there nearly always is"),
            (0.4, "overfitting", "clear overfitting: more pictures, dropout or fewer steps would help"),
        ),
        ("strong overfitting", "the model has learned training faces by heart: samples may be near copies of them"),
    )
    relation = f"{percent(abs(gap))} {'higher' if gap >= 0 else 'lower'}"
    return short, (
        f"The error on held-out faces is {relation} than on faces trained on: {said}. The gap is widest at a log "
        f"signal-to-noise ratio of {_signed(widest.log_snr)}, at {percent(widest.held_out / widest.train - 1)}."
    )


def _colour(run: Run) -> tuple[str, str]:
    shifts = [255 * (drawn - real) for drawn, real in zip(run.samples_colour, run.held_out_colour, strict=True)]
    largest = max(abs(shift) for shift in shifts)
    each = listed([f"{_signed(shift)} in {name}" for name, shift in zip(("red", "green", "blue"), shifts, strict=True)])
    short, said = _band(
        largest,
        ((3, "", "no colour drift to speak of"), (8, "slight colour drift", "a slight drift that a grid hardly shows")),
        ("colour drift", "a drift that an eye can see, typical of too little training at high noise"),
    )
    return short, f"On average the samples differ from held-out faces by {each} (of 255): {said}."


def quality(run: Run) -> Verdict:
    """Judge the distances by their ratio to the floor, the distance between two sets of real faces."""
    metrics = run.metrics
    n, distance, floor = metrics["n"], metrics["distance"], metrics["distance_floor"]
    score, basis = metrics["score"], f"{count(n, 'sample')} and {count(metrics['n_reference'], 'real face')}"
    ratio = distance / max(floor, 1e-9)
    short, said = _band(
        ratio,
        (
            (1.3, "as close as real faces are", "by this measure samples and real faces can hardly be told apart"),
            (2, "close to real faces", "the samples come close, and a careful eye will find differences"),
            (
                4,
                "recognisable, not yet real",
                "plainly the same kind of picture, with faults in shape, variety or grain",
            ),
            (
                10,  # with the default avatars, n = 500: faces with grain and muddled hair are at 8, noise alone at 24
                "far from real faces",
                "the samples have the look of the data set, but are grainy, malformed or too alike",
            ),
        ),
        ("very far from real faces", "little of what makes these faces has been learned"),
    )
    paragraphs = [
        f"The {score} of the samples is {number(distance)}; between two sets of real faces, the floor that no model "
        f"can be expected to beat, it is {number(floor)}. So the samples are {times(ratio)} as far from real faces as "
        f"real faces are from one another: {said}. It compares the features of {metrics['extractor']} over {basis}, "
        "and means nothing beside a number from other features or another n.",
        _kid(run),
    ]
    if n < 200:
        short += ", on too few samples to tell"
        paragraphs.append(
            f"With n = {n:,} neither number is a verdict: at this size the distance is mostly chance and bias. Draw at "
            "least a thousand samples before you compare runs."
        )
    elif n < 2000:
        paragraphs.append(
            f"With n = {n:,} the distance is biased upwards, the floor as well, and small differences between runs are "
            "chance; published scores use 50,000 samples."
        )
    if _mean(run, "held_out") / _mean(run, "train") > 1.15:
        paragraphs.append(
            "A low distance does not tell new faces from copies. As this model overfits, compare the samples with the "
            "faces it was trained on before you praise it."
        )
    return Verdict(short, paragraphs)


def _kid(run: Run) -> str:
    kid, floor = run.metrics["kid"], run.metrics["kid_floor"]
    said = f"KID, which small samples do not bias, is {number(kid)} beside a floor of {number(floor)}"
    if kid <= max(floor, 0.0):
        return f"{said}: no more than chance gives real faces."
    if floor <= kid / 50:  # so near to zero, where it is expected, a ratio to it would be chance
        return f"{said}: the floor is zero within its noise, and the samples lie above it."
    return f"{said}, {times(kid / floor)} as much."


def summary(run: Run) -> str:
    """Return the three verdicts in one sentence."""
    return (
        f"In this run {performance(run).short}; the samples are {quality(run).short} "
        f"(n = {run.metrics['n']:,}); difficulties: {difficulties(run).short}."
    )


def _band(value: float, bands: tuple[tuple[float, str, str], ...], beyond: tuple[str, str]) -> tuple[str, str]:
    return next(((short, said) for limit, short, said in bands if value <= limit), beyond)


def _mean(run: Run, split: str) -> float:
    return fmean(getattr(level, split) for level in run.levels)


def _signed(value: float) -> str:
    return f"{value:+z.1f}".replace("-", "−")
