"""Judge whether samples copy training faces: what the searches for copies found, next to held-out faces."""

from math import sqrt

from omokage.report.run import Run
from omokage.report.verdict import Verdict
from omokage.report.wording import format_count, format_percent, join_words

# Share of the held-out faces that are close to the training set, by the definition in evaluation/scores/copies.py.
CHANCE = 0.01
# Above this share of suspected copies, a model is said to memorise.
MANY = 0.2
# The searches of evaluation/scores/copies.py whose limit is absolute, and what each finds.
COPY_KINDS = {
    "exact": "exact, without a visible difference",
    "near": "nearly equal",
    "shifted": "shifted by up to 2 pixels",
    "mirrored": "mirrored",
}
# The searches whose limit is relative to held-out faces.
RELATIVE_KINDS = {
    "relative": "far closer to a training face than held-out faces are, in pixels",
    "features": "far closer to a training face than held-out faces are, in features",
}
SEARCHES = "for exact, nearly equal, shifted and mirrored training faces, and for unusually close ones in features"


def judge_memorisation(run: Run) -> Verdict:
    """Judge the shares of suspected copies, each next to the share of held-out faces that the same search suspects."""
    metrics = run.metrics
    n = metrics["n"]
    copies, copies_floor = (sum(metrics[key][kind] for kind in COPY_KINDS) for key in ("copies", "copies_floor"))
    suspects = round(metrics["copied"] * n)
    is_beyond_floor = metrics["copied"] > limit_share(metrics["copied_floor"], run)
    problems: tuple[str, ...] = ()
    if metrics["copied"] > MANY and is_beyond_floor:
        short = f"{format_percent(metrics['copied'])} of the samples are suspected copies of training faces"
        problems = ("memorisation",)
    elif copies > limit_share(copies_floor, run):
        count = round(copies * n)
        short = f"{format_count(n, 'sample')} with {count:,} {'copy' if count == 1 else 'copies'} of training faces"
        problems = ("copies of training faces",)
    elif is_beyond_floor or metrics["close"] > limit_share(CHANCE, run):
        short = "more samples are close to a training face than by chance"
        problems = ("samples close to training faces",)
    elif suspects:
        noun = "suspected copy" if suspects == 1 else "suspected copies"
        short = f"{suspects:,} {noun}, no more than among held-out faces"
    else:
        short = "no copies found by the searches in pixels, shifts, mirrors and features"
    return Verdict(short, [_describe_search(run), _describe_suspects(run), _describe_closeness(run)], problems)


def limit_share(floor: float, run: Run) -> float:
    """Return the share of samples that a model that copies nothing exceeds in about one of a thousand runs.

    `floor` is the share among held-out faces. If no held-out face is a suspect, a single sample exceeds the limit.
    """
    n, m = run.metrics["n"], run.metrics["n_reference"]
    return floor + 3 * sqrt(floor * (1 / n + 1 / m)) + (1 / n if floor else 0)


def _describe_search(run: Run) -> str:
    searched = run.metrics["searched"]
    return (
        f"{format_count(run.metrics['n'], 'sample')} were compared with all {searched['train']:,} training faces in "
        "pixels: as they are, mirrored, shifted by up to 2 pixels, and brighter or darker. In features they were "
        f"compared with {searched['feature_train']:,} training faces. The same searches were made for "
        f"{format_count(run.metrics['n_reference'], 'held-out face')}, which are no copies; their share is the floor."
    )


def _describe_suspects(run: Run) -> str:
    """Return sentences on how many samples each search suspects, and how many held-out faces."""
    metrics = run.metrics
    found = [
        f"{round(metrics['copies'][kind] * metrics['n']):,} {meaning}"
        for kind, meaning in {**COPY_KINDS, **RELATIVE_KINDS}.items()
        if metrics["copies"][kind]
    ]
    floor = f"floor: {format_percent(metrics['copied_floor'])}"
    if not found:
        return (
            f"None found by these searches, which looked {SEARCHES} ({floor}). "
            "A copy that was changed more than this would not be found."
        )
    text = f"Suspected copies: {format_percent(metrics['copied'])} of the samples ({floor}). "
    text += f"These are {join_words(found)}. "
    if metrics["copied"] <= limit_share(metrics["copied_floor"], run):
        text += "No more are suspected than among held-out faces, so faces of this data set are this much alike. "
    return text + "The figure shows them next to their nearest training faces."


def _describe_closeness(run: Run) -> str:
    metrics = run.metrics
    is_chance = metrics["close"] <= limit_share(CHANCE, run)
    return (
        f"Closer to the training set, relative to the held-out set, than 99\u00a0% of the held-out faces are "
        f"{format_percent(metrics['close'])} of the samples, which is {'within' if is_chance else 'above'} the range "
        "of chance. For the median sample, the nearest training face is "
        f"{format_percent(metrics['copy_ratio'])} as far away as the nearest held-out face. For real faces it is "
        f"{format_percent(metrics['copy_ratio_floor'])}, since there are more training faces than held-out faces."
    )
