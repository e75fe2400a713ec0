"""How good the samples are: how near to real faces they lie, and whether there are all kinds of them."""

from typing import Any

from omokage.report.copies import copies
from omokage.report.performance import gap
from omokage.report.run import Run
from omokage.report.verdict import Verdict, band
from omokage.report.words import count, number, percent, times


def quality(run: Run) -> Verdict:
    """Judge the scores beside their floors, what two sets of real faces score."""
    metrics = run.metrics
    n = metrics["n"]
    short, paragraphs = _fidelity(metrics)
    variety, said, problems = _variety(metrics)
    short += f", {variety}"
    paragraphs += [_kid(metrics), said]
    if run.progress:
        paragraphs.append(_over_training(run.progress))
    if n < 200:
        short += ", on too few samples to tell"
        paragraphs.append(
            f"With n = {n:,} no number here is a verdict: at this size the distance is mostly chance and bias. Draw at "
            "least a thousand samples before you compare runs."
        )
    elif n < 2000:
        paragraphs.append(
            f"With n = {n:,} the distance is biased upwards, the floor as well, and small differences between runs are "
            "chance; published scores use 50,000 samples."
        )
    if copies(run).problems:
        short += ", but copies"
        paragraphs.append("All this praises copies of training faces just as much: see below how many there are.")
    elif gap(run) > 0.15:
        paragraphs.append(
            "A low distance does not tell new faces from copies. As this model overfits, compare the samples with the "
            "faces it was trained on before you praise it."
        )
    return Verdict(short, paragraphs, problems)


def _fidelity(metrics: dict[str, Any]) -> tuple[str, list[str]]:
    floor = metrics["distance_floor"]
    ratio = metrics["distance"] / max(floor, 1e-9)
    short, said = band(
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
    basis = f"{count(metrics['n'], 'sample')} and {count(metrics['n_reference'], 'real face')}"
    return short, [
        f"The {metrics['score']} of the samples is {_with_interval(metrics, 'distance')}; between two sets of real "
        f"faces, the floor that no model can be expected to beat, it is {number(floor)}. So the samples are "
        f"{times(ratio)} as far from real faces as real faces are from one another: {said}. It compares the features "
        f"of {metrics['extractor']} (pictures resized: {metrics['resize']}; seed {metrics['seed']}) over {basis}, and "
        "means nothing beside a number from other features or another n."
    ]


def _kid(metrics: dict[str, Any]) -> str:
    kid, floor = metrics["kid"], metrics["kid_floor"]
    said = (
        f"KID, which small samples do not bias, is {_with_interval(metrics, 'kid')} beside a floor of {number(floor)}"
    )
    if kid <= max(floor, 0.0):
        return f"{said}: no more than chance gives real faces."
    if floor <= kid / 50:  # so near to zero, where it is expected, a ratio to it would be chance
        return f"{said}: the floor is zero within its noise, and the samples lie above it."
    return f"{said}, {times(kid / floor)} as much."


def _with_interval(metrics: dict[str, Any], key: str) -> str:
    low, high = (number(metrics[f"{key}_{end}"]) for end in ("low", "high"))
    return f"{number(metrics[key])} ({percent(0.95)} interval {low} to {high})"


def _variety(metrics: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Return in a few words how varied the samples are, the reasons, and the problem that there is, if any."""
    share = {key: metrics[key] / max(metrics[f"{key}_floor"], 1e-9) for key in ("precision", "recall", "coverage")}
    numbers = (
        f"{percent(metrics['precision'])} of the samples look like real faces (precision; of real ones "
        f"{percent(metrics['precision_floor'])} do), and {percent(metrics['recall'])} of the real faces have their "
        f"like among what the model draws (recall; {percent(metrics['recall_floor'])})"
    )
    if share["precision"] < 0.4:
        return (
            "and few look real",
            f"{numbers}. As so few look real, nothing can be said of their variety.",
            (),
        )
    if share["recall"] < 0.3 and share["coverage"] < 0.5:
        return (
            "and collapsed to a few pictures",
            f"{numbers}: most samples look real, but they are always the same few. That is a collapse: only "
            f"{percent(metrics['coverage'])} of the real faces have a sample near by (coverage; "
            f"{percent(metrics['coverage_floor'])} among real ones).",
            ("collapse",),
        )
    short, said = band(
        -share["recall"],
        (
            (-0.9, "as varied", "the samples vary as real faces do"),
            (-0.7, "nearly as varied", "some of the rarer kinds of face are missing"),
            (-0.4, "less varied", "many kinds of face are missing"),
        ),
        ("much less varied", "most kinds of face are missing"),
    )
    return short, f"{numbers}: {said}.", ()


def _over_training(progress: list[dict[str, str]]) -> str:
    last, best = progress[-1], min(progress, key=lambda row: float(row["distance"]))
    said = (
        "and had not been lower before"
        if best is last
        else f"after {number(float(best['distance']))} at step {int(best['step']):,}, the lowest"
    )
    return (
        f"Over the training, judged by {count(int(last['n']), 'picture')} each time, the distance came from "
        f"{number(float(progress[0]['distance']))} at step {int(progress[0]['step']):,} to "
        f"{number(float(last['distance']))} at step {int(last['step']):,}, {said}. These are few and drawn without "
        "guidance: compare them only with one another."
    )
