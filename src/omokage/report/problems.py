"""Write the section "Challenges": the problems of a run, each with its evidence, cause and remedy.

Some are found here: dropped images, a small training set, the trend of the loss, and too few samples. The verdicts of
the other sections name the rest. The catalogue in report/challenges.py describes all of them.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from omokage.report.captions import CAPTIONS
from omokage.report.challenges import CATALOGUE, describe_problem
from omokage.report.quality import MIN_SAMPLES
from omokage.report.run import Run
from omokage.report.training_loss import NOTABLE_TREND, compute_loss_fall
from omokage.report.verdict import Verdict
from omokage.report.wording import format_count, format_percent, join_words

# With fewer training faces, diffusion models of this kind tend to memorise them.
SMALL_TRAINING_SET = 5000
MAX_DROPPED = 0.1  # share of the images


def judge_problems(run: Run, verdicts: Iterable[Verdict]) -> Verdict:
    """Describe all problems of a run: those found here, and those that `verdicts`, the other sections, name."""
    found = {*_find_problems(run), *(name for verdict in verdicts for name in verdict.problems)}
    names = sorted(found, key=list(CATALOGUE).index)
    described = [_describe(name, run) for name in names]
    if not names:
        described = [
            "No problem was found. Checked were the images dropped, the sizes of the training set and of the samples, "
            "overfitting and the trend of the loss. Also checked were precision, recall, copies, colours, contrast, "
            "saturation and sharpness of the samples."
        ]
    return Verdict(
        join_words(names) if names else "none that the numbers show",
        [*described, *_describe_curation(run.faces, names)],
        tuple(names),
    )


def _find_problems(run: Run) -> list[str]:
    fall = compute_loss_fall(run) or 0.0
    found = {
        "many images dropped": run.faces["pictures_dropped"] > MAX_DROPPED * run.faces["pictures"],
        "small training set": run.faces["train"] < SMALL_TRAINING_SET,
        "still learning": fall > NOTABLE_TREND,
        "rising loss": fall < -NOTABLE_TREND,
        "too few samples": run.metrics["n"] < MIN_SAMPLES,
    }
    return [name for name, is_found in found.items() if is_found]


def _describe(name: str, run: Run) -> str:
    problem = describe_problem(name, run)
    section = CAPTIONS[problem.figure].section
    # These figures are above all headings.
    place = "samples at the top of this report"
    if section != "Samples":
        place = f"figure {problem.figure} in the section {section}"
    return (
        f"{name[0].upper()}{name[1:]}: {problem.evidence} {'Likely' if problem.is_measured else 'Possible'} cause: "
        f"{problem.cause} What to change: {problem.remedy} See the {place}."
    )


def _describe_curation(faces: Mapping[str, Any], names: Collection[str]) -> list[str]:
    """Return a sentence on the images that gave no face, unless `names`, the problems found, have it.

    `faces` are the counts in curation.json. The section on the data has the other counts.
    """
    dropped, total = faces["pictures_dropped"], faces["pictures"]
    if not dropped or "many images dropped" in names:
        return []
    return [f"Of {format_count(total, 'image')}, {dropped:,} ({format_percent(dropped / total)}) gave no face."]
