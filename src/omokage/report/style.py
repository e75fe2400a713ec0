"""Judge whether the samples match the style of the data set: its colours, contrast, saturation and sharpness."""

from omokage.report.run import Run
from omokage.report.verdict import Verdict, find_band
from omokage.report.wording import format_percent, format_signed, join_words

COLOURS = ("red", "green", "blue")
RATIOS = ("contrast", "saturation", "sharpness")
# How much farther a ratio is from 1 than the floor: up to SLIGHT is not reported, up to CLEAR is called slight.
SLIGHT, CLEAR = 0.05, 0.15
DRIFT, MISSING_DARK = "colour drift", "few dark images"
# The samples have few if so many real faces have their mean in the lowest bins, and a smaller part of the samples.
DARK_BINS, BINS, NOTABLE_DARK, FEW_DARK = 5, 24, 0.02, 0.25


def judge_style(run: Run) -> Verdict:
    """Judge colour drift, contrast, saturation and sharpness of the samples.

    Only differences beyond those of training faces from held-out faces (the floors) count.
    """
    drift, explanation = judge_colour_drift(run)
    differences = [drift] if drift else []
    dark = describe_dark_images(run)
    differences += [MISSING_DARK] if dark else []
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
            *([dark] if dark else []),
            f"Compared with held-out faces, the samples have {join_words(measured)}.",
        ],
        tuple(name for name in differences if not name.startswith("slight")),
    )


def list_shifts(run: Run) -> str:
    """Return the differences of the mean colours of samples and held-out faces, such as '+1.0 in red, ...'."""
    return join_words([f"{format_signed(run.metrics['style'][colour])} in {colour}" for colour in COLOURS])


def judge_colour_drift(run: Run) -> tuple[str, str]:
    """Return a short name for the colour drift of the samples ("" if there is none), and sentences that explain it."""
    shifts, floors = ([run.metrics[key][colour] for colour in COLOURS] for key in ("style", "style_floor"))
    largest = max(max(0.0, abs(shift) - abs(floor)) for shift, floor in zip(shifts, floors, strict=True))
    drift, explanation = find_band(
        largest,
        (
            (3, ("", "There is no notable colour drift")),
            (8, (f"slight {DRIFT}", "This is a slight drift")),
        ),
        (DRIFT, "This is a clear drift"),
    )
    return drift, f"On average the samples differ from held-out faces by {list_shifts(run)} (of 255). {explanation}."


def describe_dark_images(run: Run) -> str:
    """Return a sentence on the share of images with little of at least two colours, or "" if samples have enough.

    Such images have a mean of the colour in the DARK_BINS lowest bins of the histograms in scores.json, which older
    runs lack.
    """
    histograms = run.metrics.get("style_histograms", {})
    shares = {
        colour: [sum(histograms[colour][group][:DARK_BINS]) for group in ("samples", "held_out")]
        for colour in COLOURS
        if colour in histograms
    }
    missing = [
        f"{format_percent(samples)} instead of {format_percent(real)} ({colour})"
        for colour, (samples, real) in shares.items()
        if real >= NOTABLE_DARK and samples < FEW_DARK * real
    ]
    if len(missing) < 2:  # one colour alone is a matter of its drift
        return ""
    return (
        f"Dark images are rarer than among held-out faces: {join_words(missing)} have their mean in the {DARK_BINS} "
        f"lowest of {BINS} parts of the range."
    )
