"""What went wrong or stood in the way: lost pictures, few pictures, overfitting, and what the other verdicts name."""

from collections.abc import Iterable

from omokage.report.performance import gap
from omokage.report.run import Run
from omokage.report.verdict import Verdict, band
from omokage.report.words import count, listed, percent, signed


def difficulties(run: Run, others: Iterable[Verdict]) -> Verdict:
    """Judge the curation and the overfitting, and gather the problems of the `others`."""
    found: list[str] = []
    faces, paragraphs = run.faces, []
    lost = sum(faces["dropped"].values())
    if lost:
        paragraphs.append(
            f"Of {count(faces['pictures'], 'picture')}, {lost:,} ({percent(lost / faces['pictures'])}) were dropped. "
            f"{faces['detected']:,} faces were cut out of a larger picture, {faces['whole']:,} pictures were taken "
            "whole."
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
    found += [short] if short else []
    elsewhere = [problem for other in others for problem in other.problems]
    if elsewhere:
        paragraphs.append(f"Told above: {listed(elsewhere)}.")
    found += elsewhere
    return Verdict(listed(found) if found else "none that the numbers show", paragraphs)


def _overfitting(run: Run) -> tuple[str, str]:
    higher = gap(run)
    widest = max(run.levels, key=lambda level: level.held_out / level.train)
    short, said = band(
        higher,
        (
            (0.05, "", "no sign of overfitting"),
            (0.15, "", "a slight gap, as there nearly always is"),
            (0.4, "overfitting", "clear overfitting: more pictures, dropout or fewer steps would help"),
        ),
        ("strong overfitting", "the model has learned training faces by heart: samples may be near copies of them"),
    )
    relation = f"{percent(abs(higher))} {'higher' if higher >= 0 else 'lower'}"
    return short, (
        f"The error on held-out faces is {relation} than on faces trained on: {said}. The gap is widest at a log "
        f"signal-to-noise ratio of {signed(widest.log_snr)}, at {percent(widest.held_out / widest.train - 1)}."
    )
