"""Samples beside the real faces nearest to them: a copy would be next to its original."""

from functools import partial

import pandas as pd
from PIL import Image

from omokage.figures.sheet import Pictures, Row, fitting, ruled

COUNTS, BUDGET = (8, 6, 4, 2), 90_000


def draw(table: pd.DataFrame, samples: Pictures, train: Pictures, held_out: Pictures) -> Image.Image:
    """Draw the samples that are nearest to a face trained on, beside it and the nearest face held out.

    A row of the table has the numbers of a sample, of the `train` and of the `held_out` face nearest to it in pixels,
    and both distances, in grey levels of 255; pictures are uint8 [n, 3, h, w].
    """
    nearest = table.sort_values(["train_distance", "sample"], kind="stable")
    return fitting([partial(_sheet, nearest.head(count), samples, train, held_out) for count in COUNTS], BUDGET)


def _sheet(nearest: pd.DataFrame, samples: Pictures, train: Pictures, held_out: Pictures) -> Image.Image:
    rows = [
        Row("sample", samples[nearest["sample"]]),
        Row("nearest\ntrained on", train[nearest["train"]], apart=True),
        Row("away (of 255)", [f"{distance:.1f}" for distance in nearest["train_distance"]]),
        Row("nearest\nheld out", held_out[nearest["held_out"]], apart=True),
        Row("away (of 255)", [f"{distance:.1f}" for distance in nearest["held_out_distance"]]),
    ]
    return ruled("The samples nearest to faces trained on", rows)
