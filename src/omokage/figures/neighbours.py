"""Plot samples next to their nearest real faces, so that a sample that copies a training face stands out."""

from functools import partial

import pandas as pd
from PIL import Image

from omokage.figures.sheet import Images, Row, choose_fitting, compose_rows

# Counts of samples to try, in this order, until the PNG has at most BUDGET bytes.
COUNTS, BUDGET = (8, 6, 4, 2), 90_000


def plot(table: pd.DataFrame, samples: Images, train: Images, held_out: Images) -> Image.Image:
    """Plot the samples closest to a training face, each with the nearest training face and the nearest held-out face.

    Columns of the table: `sample`, `train` and `held_out` are indices into the images, which are uint8 [n, 3, h, w].
    `train_distance` and `held_out_distance` are pixel distances in grey levels (0 to 255).
    """
    nearest = table.sort_values(["train_distance", "sample"], kind="stable")
    variants = [partial(_compose, nearest.head(count), samples, train, held_out) for count in COUNTS]
    return choose_fitting(variants, BUDGET)


def _compose(nearest: pd.DataFrame, samples: Images, train: Images, held_out: Images) -> Image.Image:
    rows = [
        Row("sample", samples[nearest["sample"]]),
        Row("nearest\ntraining face", train[nearest["train"]], gap_above=True),
        Row("distance (of 255)", [f"{distance:.1f}" for distance in nearest["train_distance"]]),
        Row("nearest\nheld-out face", held_out[nearest["held_out"]], gap_above=True),
        Row("distance (of 255)", [f"{distance:.1f}" for distance in nearest["held_out_distance"]]),
    ]
    return compose_rows("Samples closest to the training set", rows)
