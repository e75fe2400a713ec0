"""Plot suspected copies, or the samples closest to a training face, next to their nearest real faces."""

from functools import partial

import numpy as np
import pandas as pd
from PIL import Image

from omokage.figures.sheet import Images, Row, choose_fitting_colours, compose_rows

# Counts of samples to try in each row, in this order, until the PNG has at most BUDGET bytes.
COUNTS, BUDGET = (8, 6, 4, 2, 1), 90_000
# The kinds of suspected copies in neighbours.csv, in the order of their rows, and the names of the rows.
KINDS = {
    "exact": "exact",
    "near": "near",
    "shifted": "shifted",
    "mirrored": "mirrored",
    "relative": "close in\npixels",
    "features": "close in\nfeatures",
}


def plot(table: pd.DataFrame, samples: Images, train: Images, held_out: Images) -> Image.Image:
    """Plot the suspected copies by kind, each with its nearest training face and the distance.

    Without any, plot the samples closest to a training face, each with the nearest training and held-out face.

    Columns of the table: `kind`, see KINDS. `sample`, `train`, `held_out` and `feature_train` are indices into the
    images, which are uint8 [n, 3, h, w]. `train_distance` and `held_out_distance` are distances after alignment in grey
    levels (0 to 255), `feature_train_distance` is one of features.
    """
    if table["kind"].isin(KINDS).any():
        variants = [partial(_compose_suspects, table, count, samples, train) for count in COUNTS]
    else:
        nearest = table.sort_values(["train_distance", "sample"], kind="stable")
        variants = [partial(_compose, nearest.head(count), samples, train, held_out) for count in COUNTS]
    return choose_fitting_colours(variants, BUDGET)


def _compose_suspects(table: pd.DataFrame, count: int, samples: Images, train: Images) -> Image.Image:
    """Compose three rows for each kind of suspects, with up to `count` samples of the kind."""
    columns = min(count, table["kind"].where(table["kind"].isin(KINDS)).value_counts().max())
    rows = []
    for kind, name in KINDS.items():
        suspects = table[table["kind"] == kind]
        if suspects.empty:
            continue
        prefix = "feature_train" if kind == "features" else "train"
        shown = suspects.sort_values([f"{prefix}_distance", "sample"], kind="stable").head(count)
        rows += [
            Row(f"{name}\n{len(shown)} of {len(suspects)}", _fill(samples[shown["sample"]], columns), gap_above=True),
            Row("nearest\ntraining face", _fill(train[shown[prefix]], columns)),
            Row("distance", _list_distances(shown[f"{prefix}_distance"], columns)),
        ]
    total = int(table["kind"].isin(KINDS).sum())
    return compose_rows(f"Suspected copies: {total} of {len(table)} samples", rows)


def _fill(images: Images, columns: int) -> Images:
    """Return the images with white images appended, so that there is one for each column."""
    missing = np.full((columns - len(images), *images.shape[1:]), 255, np.uint8)
    return np.concatenate([images, missing])


def _list_distances(distances: pd.Series, columns: int) -> list[str]:
    return [f"{distance:.1f}" for distance in distances] + [""] * (columns - len(distances))


def _compose(nearest: pd.DataFrame, samples: Images, train: Images, held_out: Images) -> Image.Image:
    rows = [
        Row("sample", samples[nearest["sample"]]),
        Row("nearest\ntraining face", train[nearest["train"]], gap_above=True),
        Row("distance (of 255)", _list_distances(nearest["train_distance"], len(nearest))),
        Row("nearest\nheld-out face", held_out[nearest["held_out"]], gap_above=True),
        Row("distance (of 255)", _list_distances(nearest["held_out_distance"], len(nearest))),
    ]
    return compose_rows("No copies found in pixels, shifts, mirrors or features", rows)
