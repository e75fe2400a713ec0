"""Plot samples of the same seeds from several samplers, such as DDPM and DDIM, in rows."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from PIL import Image

from omokage.figures.sheet import Images, Row, choose_fitting, compose_rows, note_shown

# Counts of seeds to try, in this order, until the PNG has at most BUDGET bytes.
COUNTS, BUDGET = (10, 8, 6, 4, 2, 1), 65_000
MAX_ROWS = 6
Labels = Sequence[dict[str, Any]]


def plot(
    samples: Images,
    counterpart: Images,
    counterpart_labels: Labels,
    study: Images,
    study_labels: Labels,
    *,
    ema_kind: str,
    sampler: str,
    sample_steps: int,
) -> Image.Image:
    """Plot the first samples, uint8 [n, 3, h, w], above those of the same seeds from other samplers.

    `samples` were generated with `ema_kind`, `sampler` and `sample_steps`, the network evaluations per image (NFE).
    `counterpart` and `study` are sample sets, uint8 [sets, n, 3, h, w], with their labels (see sampling/sample_sets).
    """
    own = {"weights": ema_kind, "sampler": sampler, "evaluations": sample_steps}
    labels, rows = [own, *counterpart_labels], [samples, *counterpart]
    for label, images in zip(study_labels, study, strict=True):
        if label not in labels:
            labels.append(label)
            rows.append(images)
    named = [(_name_row(label, ema_kind), images) for label, images in zip(labels, rows, strict=True)]
    return choose_fitting([partial(_compose, named, count) for count in COUNTS], BUDGET)


def _name_row(label: dict[str, Any], ema_kind: str) -> str:
    weights = "" if label["weights"] == ema_kind else f"\n{label['weights']} weights"
    return f"{label['sampler']}\n{label['evaluations']} NFE{weights}"


def _compose(rows: Sequence[tuple[str, Images]], count: int) -> Image.Image:
    shown = [Row(name, images[:count]) for name, images in rows[:MAX_ROWS]]
    # All rows have as many columns as the shortest.
    columns = min(len(row.cells) for row in shown)
    shown = [Row(row.name, row.cells[:columns]) for row in shown]
    note = note_shown(len(shown), len(rows), "samplers")
    return compose_rows("Samples of the same seeds by sampler", shown, note)
