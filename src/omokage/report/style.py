"""Judge whether the samples match the style of the data set: its colours, contrast, saturation and sharpness."""

from omokage.report.run import Run
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_percent, format_signed, join_words

COLOURS = ("red", "green", "blue")
RATIOS = ("contrast", "saturation", "sharpness")
# How much farther a ratio is from 1 than the floor: up to SLIGHT is not reported, up to CLEAR is called slight.
SLIGHT, CLEAR = 0.05, 0.15


def judge_style(run: Run) -> Verdict:
    """Judge colour drift, contrast, saturation and sharpness of the samples.

    Only differences beyond those of training faces from held-out faces (the floors) count.
    """
    drift, explanation = _judge_colour_drift(run)
    differences = [drift] if drift else []
    measured = []
    for name in RATIOS:
        ratio, floor = (run.metrics[key][name] for key in ("style", "style_floor"))
        excess = max(0.0, abs(ratio - 1) - abs(floor - 1))
        if excess > SLIGHT:
            differences.append(f"{'' if excess > CLEAR else 'slightly '}{'low' if ratio < 1 else 'high'} {name}")
        measured.append(f"{format_percent(ratio)} of their {name}")
    return Verdict(
        join_words(differences) if differences else "matches the data set",
        [
            explanation,
            f"Compared with held-out faces, the samples have {join_words(measured)}. "
            "Differences of a few percent are hard to see.",
        ],
        tuple(name for name in differences if not name.startswith("slight")),
    )


def list_shifts(run: Run) -> str:
    """Return the differences of the mean colours of samples and held-out faces, such as '+1.0 in red, ...'."""
    return join_words([f"{format_signed(run.metrics['style'][colour])} in {colour}" for colour in COLOURS])


def _judge_colour_drift(run: Run) -> tuple[str, str]:
    """Return a short name for the colour drift of the samples ("" if there is none), and sentences that explain it."""
    shifts, floors = ([run.metrics[key][colour] for colour in COLOURS] for key in ("style", "style_floor"))
    largest = max(max(0.0, abs(shift) - abs(floor)) for shift, floor in zip(shifts, floors, strict=True))
    drift, explanation = find_band(
        largest,
        (
            (3, "", "There is no notable colour drift"),
            (8, "slight colour drift", "A drift this slight is visible next to real faces"),
        ),
        ("colour drift", "A drift this large is visible"),
    )
    return drift, f"On average the samples differ from held-out faces by {list_shifts(run)} (of 255). {explanation}."
