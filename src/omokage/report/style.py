"""Whether the samples have the look of the data set: its colours, contrast, saturation and sharpness."""

from omokage.report.run import Run
from omokage.report.verdict import Verdict, band
from omokage.report.words import listed, percent, signed

COLOURS = ("red", "green", "blue")
# What pictures are called whose measure is lower, or higher, than that of real faces.
CALLED = {"contrast": ("flat", "harsh"), "saturation": ("pale", "garish"), "sharpness": ("soft", "grainy")}
SLIGHT, PLAIN = 0.05, 0.15


def style(run: Run) -> Verdict:
    """Judge colour drift, contrast, saturation and sharpness by what real faces differ among themselves."""
    drift, said = _drift(run)
    named = [drift] if drift else []
    measured = []
    for name, (low, high) in CALLED.items():
        ratio, floor = (run.metrics[key][name] for key in ("style", "style_floor"))
        off = max(0.0, abs(ratio - 1) - abs(floor - 1))
        if off > SLIGHT:
            named.append(f"{'' if off > PLAIN else 'slightly '}{low if ratio < 1 else high}")
        measured.append(f"{percent(ratio)} of their {name}")
    return Verdict(
        listed(named) if named else "that of the data set",
        [
            said,
            f"Beside held-out faces the samples have {listed(measured)}; a few percent more or less are hard to see.",
        ],
        ("colour drift",) if drift == "colour drift" else (),
    )


def _drift(run: Run) -> tuple[str, str]:
    shifts, floors = ([run.metrics[key][colour] for colour in COLOURS] for key in ("style", "style_floor"))
    largest = max(max(0.0, abs(shift) - abs(floor)) for shift, floor in zip(shifts, floors, strict=True))
    each = listed([f"{signed(shift)} in {name}" for name, shift in zip(COLOURS, shifts, strict=True)])
    short, said = band(
        largest,
        ((3, "", "no colour drift to speak of"), (8, "slight colour drift", "a slight drift that a grid hardly shows")),
        ("colour drift", "a drift that an eye can see, typical of too little training at high noise"),
    )
    return short, f"On average the samples differ from held-out faces by {each} (of 255): {said}."
