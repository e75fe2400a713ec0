"""Whether the samples are new faces, or copies of those trained on."""

from math import sqrt

from omokage.report.run import Run
from omokage.report.verdict import Verdict, band
from omokage.report.words import count, percent

# The share of real, unseen faces that lie as near to a face trained on, by the measure's making.
CHANCE = 0.01


def copies(run: Run) -> Verdict:
    """Judge the share of samples that are nearer to faces trained on than unseen faces are."""
    share, n = run.metrics["copied"], run.metrics["n"]
    # What chance gives in all but one of a thousand runs of n samples.
    limit = CHANCE + 3 * sqrt(CHANCE / n) + 1 / n
    short, said = band(
        share,
        (
            (limit, "none beyond chance", "no more than chance gives, so these are new faces"),
            (max(limit, 0.2), "some near copies", "more than chance gives, so look at the nearest ones below"),
        ),
        ("many copies of training faces", "far more than chance gives: the model repeats what it was trained on"),
    )
    paragraphs = [
        f"A copy is nearer to a face trained on than to any that was held out. {percent(share)} of "
        f"{count(n, 'sample')} are so much nearer that of unseen real faces only one in a hundred is: {said}.",
        f"For the sample in the middle the nearest face trained on is {percent(run.metrics['copy_ratio'])} as far away "
        f"as the nearest held out; for real faces it is {percent(run.metrics['copy_ratio_floor'])}, since there are "
        "more faces to train on than held out.",
    ]
    return Verdict(short, paragraphs, ("copying",) if share > max(limit, 0.2) else ())
