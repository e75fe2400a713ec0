"""Judge whether the samples are new faces or near copies of training faces."""

from math import sqrt

from omokage.report.run import Run
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_count, format_percent

# Share of the held-out faces that count as near copies, by the definition in evaluation/scores/neighbours.py.
CHANCE = 0.01


def judge_memorisation(run: Run) -> Verdict:
    """Judge the share of samples that are near copies of training faces."""
    share, n = run.metrics["copied"], run.metrics["n"]
    # With a model that copies nothing, about one run in a thousand exceeds this limit by chance.
    limit = CHANCE + 3 * sqrt(CHANCE / n) + 1 / n
    short, explanation = find_band(
        share,
        (
            (limit, "no more near copies than by chance", "within the range of chance, so these are new faces"),
            (max(limit, 0.2), "some near copies", "above the range of chance, so look at the nearest ones below"),
        ),
        ("many near copies of training faces", "far above the range of chance: the model repeats its training faces"),
    )
    paragraphs = [
        "A sample counts as a near copy if it is closer to the training set, relative to the held-out set, "
        f"than 99\u00a0% of the held-out faces are. Of {format_count(n, 'sample')}, {format_percent(share)} count as "
        f"near copies. This is {explanation}.",
        f"For the median sample, the nearest training face is {format_percent(run.metrics['copy_ratio'])} as far away "
        f"as the nearest held-out face. For real faces it is {format_percent(run.metrics['copy_ratio_floor'])}, "
        "since there are more training faces than held-out faces.",
    ]
    return Verdict(short, paragraphs, ("memorisation",) if share > max(limit, 0.2) else ())
