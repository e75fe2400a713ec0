"""Judge whether samples copy training faces: what the searches for copies found, next to held-out faces."""

from bisect import bisect_left
from math import exp, lgamma

from omokage.report.run import Run
from omokage.report.verdict import Verdict
from omokage.report.wording import format_count, format_number, format_percent, join_words

# What chance gives more rarely than this is reported.
RARE = 0.001
# Above this share of suspected copies, a model is said to memorise.
MANY = 0.2
EXACT = "exact"  # the only search in scores.json that is certain to find copies
# Limits of the distance in grey levels, as in evaluation/scores/copies.py: without and after alignment.
LIMITS = 3.0, 5.5
MISSED = (
    "Copies that are changed more can be missed: of faces shifted by 2 pixels in both directions, 36\u00a0% of the "
    "avatars and 79\u00a0% of the anime faces were found, and with JPEG quality 60, 5.0\u00a0% and 100\u00a0% "
    "(docs/benchmarks.md)."
)


def judge_memorisation(run: Run) -> Verdict:
    """Judge the shares of suspected copies, each next to the share of held-out faces that the same search suspects."""
    metrics, problem = run.metrics, _find_problem(run)
    suspects = round(metrics["copied"] * metrics["n"])
    if problem == "memorisation":
        short = f"{format_percent(metrics['copied'])} of the samples are suspected copies of training faces"
    elif problem == "copies of training faces":
        share, exact = _sum_copies(run, "copies"), metrics["copies"][EXACT]
        count, is_certain = round(share * metrics["n"]), share == exact
        copies = f"{'' if is_certain else 'suspected '}{'copy' if count == 1 else 'copies'}"
        short = f"{format_count(metrics['n'], 'sample')} with {count:,} {copies} of training faces"
    elif problem:
        short = "more samples are close to a training face than by chance"
    elif suspects:
        short = f"{suspects:,} suspected {'copy' if suspects == 1 else 'copies'}, "
        is_more = metrics["copied"] > metrics["copied_floor"]
        short += "which can be chance" if is_more else "no more than among held-out faces"
    else:
        short = "no copies found by the searches in pixels, shifts, mirrors and features"
    paragraphs = [_describe_search(run), _describe_suspects(run, problem), _describe_closeness(run)]
    return Verdict(short, paragraphs, (problem,) if problem else ())


def _find_problem(run: Run) -> str:
    """Return the name of the problem, or "" if there are no more copies than chance gives.

    Only exact copies count one by one, and changed ones if no held-out face is a suspect by the same searches.
    """
    metrics = run.metrics
    copies, floor = (_sum_copies(run, key) for key in ("copies", "copies_floor"))
    exact, exact_floor = (metrics[key][EXACT] for key in ("copies", "copies_floor"))
    is_beyond_floor = metrics["copied"] > limit_share(metrics["copied_floor"], run)
    if metrics["copied"] > MANY and is_beyond_floor:
        return "memorisation"
    if exact > exact_floor == 0 or copies > (limit_share(floor, run) if floor else 0):
        return "copies of training faces"
    if is_beyond_floor or metrics["close"] > limit_share(metrics["close_floor"], run):
        return "samples close to training faces"
    return ""


def _sum_copies(run: Run, key: str) -> float:
    """Return the share of suspects by the searches with an absolute limit; `key` is copies or copies_floor."""
    searches = run.metrics["searches"].items()
    return sum(run.metrics[key][kind] for kind, search in searches if search["limit"] == "absolute")


def limit_share(floor: float, run: Run) -> float:
    """Return the share of samples that a model that copies nothing exceeds in less than one of a thousand runs.

    `floor` is the share among held-out faces. Without copies, samples and held-out faces come in random order if they
    are sorted by how close they are to the training set. So the number of samples that precede the held-out face after
    those of the floor has a negative hypergeometric distribution.
    """
    n, m = run.metrics["n"], run.metrics["n_reference"]
    return bisect_left(range(n), True, key=lambda count: _find_chance(count + 1, round(floor * m) + 1, n, m) < RARE) / n


def _find_chance(count: int, rank: int, n: int, m: int) -> float:
    """Return the probability that at least `count` of n samples precede the held-out face number `rank` of m.

    This is so if of the first `count + rank - 1` samples and faces, at most `rank - 1` are faces.
    """
    first = count + rank - 1
    chances = [
        _log_ways(m, faces) + _log_ways(n, first - faces) - _log_ways(n + m, first)
        for faces in range(max(0, first - n), min(rank - 1, m) + 1)
    ]
    return sum(map(exp, chances))


def _log_ways(total: int, chosen: int) -> float:
    """Return the logarithm of the number of ways to choose some of `total` items."""
    return lgamma(total + 1) - lgamma(chosen + 1) - lgamma(total - chosen + 1)


def _describe_search(run: Run) -> str:
    searched = run.metrics["searched"]
    return (
        f"{format_count(run.metrics['n'], 'sample')} were compared with all {searched['train']:,} training faces in "
        f"pixels: as they are, mirrored, {run.metrics['searches']['shifted']['finds']}, and brighter or darker. A copy "
        f"differs by at most {LIMITS[0]:g} of 255 as it is, or {LIMITS[1]:g} after alignment (root mean square). In "
        f"features they were compared with {searched['feature_train']:,} training faces. The same searches were made "
        f"for {format_count(run.metrics['n_reference'], 'held-out face')}, which are no copies; their share is the "
        "floor."
    )


def _describe_suspects(run: Run, problem: str) -> str:
    """Return sentences on how many samples each search suspects, and how many held-out faces."""
    metrics = run.metrics
    found = [
        f"{round(metrics['copies'][kind] * metrics['n']):,} {search['finds']}"
        for kind, search in metrics["searches"].items()
        if metrics["copies"][kind]
    ]
    floor = f"floor: {format_percent(metrics['copied_floor'])}"
    if not found:
        return f"None found by these searches ({floor}). {MISSED}"
    text = f"Suspected copies: {format_percent(metrics['copied'])} of the samples ({floor}). "
    text += f"These are {join_words(found)}. "
    if not problem and metrics["copied"] <= metrics["copied_floor"]:
        text += "No more are suspected than among held-out faces, so faces of this data set are this much alike. "
    elif not problem:
        text += "So few more than among held-out faces can be chance. "
    return text + "The figure shows them next to their nearest training faces."


def _describe_closeness(run: Run) -> str:
    metrics = run.metrics
    is_chance = metrics["close"] <= limit_share(metrics["close_floor"], run)
    return (
        f"Relative to the held-out set, {_count_close(run)} as close to the training set as the closest "
        f"{format_percent(metrics['close_floor'])} of the held-out faces. "
        f"This is {'no more' if is_chance else 'more'} than chance would give. {_describe_closest(run)}"
        "For the median sample, the nearest training face is "
        f"{format_percent(metrics['copy_ratio'])} as far away as the nearest held-out face. "
        f"For real faces it is {format_percent(metrics['copy_ratio_floor'])}, since there are more training faces than "
        "held-out faces."
    )


def _count_close(run: Run) -> str:
    share = run.metrics["close"]
    return f"{format_percent(share)} of the samples are" if share else "no sample is"


def _describe_closest(run: Run) -> str:
    """Return a sentence on the sample closest to a training face, or "" for older scores, which lack it."""
    if "closest" not in run.metrics:
        return ""
    train, held_out = (format_number(run.metrics["closest"][split]) for split in ("train", "held_out"))
    return (
        f"The closest sample differs by {train} of 255 from its nearest training face, and by {held_out} from its "
        "nearest held-out face. "
    )
