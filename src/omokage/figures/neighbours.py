"""Plot suspected copies, or the samples closest to a training face, next to their nearest real faces."""

from collections.abc import Mapping
from functools import partial
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from omokage.figures.sheet import Images, Row, choose_fitting, compose_rows

# Counts of samples to try in each row, in this order, until the PNG has at most BUDGET bytes.
COUNTS, BUDGET = (8, 6, 4, 2, 1), 45_000
NAME_LENGTH = 10  # characters in a line of the name of a row
# The searches for copies by kind, as in scores.json; see evaluation/scores/copies.py.
Searches = Mapping[str, Mapping[str, str]]


def plot(
    table: pd.DataFrame, metrics: Mapping[str, Any], samples: Images, train: Images, held_out: Images
) -> Image.Image:
    """Plot the suspected copies by kind, each with its nearest training face and the distance.

    Without any, plot the samples closest to a training face, each with the nearest training and held-out face.

    `metrics` (scores.json) has the searches for copies. Columns of the table: `kind` is one of the searches, or none.
    `sample`, `train`, `held_out` and `feature_train` are indices into the images, which are uint8 [n, 3, h, w].
    `train_distance` and `held_out_distance` are distances after alignment in grey levels (0 to 255),
    `feature_train_distance` is one of features.
    """
    searches: Searches = metrics["searches"]
    if table["kind"].isin(searches.keys()).any():
        variants = [partial(_compose_suspects, table, searches, count, samples, train) for count in COUNTS]
    else:
        nearest = table.sort_values(["train_distance", "sample"], kind="stable")
        variants = [partial(_compose, nearest.head(count), samples, train, held_out) for count in COUNTS]
    return choose_fitting(variants, BUDGET)


def _compose_suspects(
    table: pd.DataFrame, searches: Searches, count: int, samples: Images, train: Images
) -> Image.Image:
    """Compose three rows for each kind of suspects, with up to `count` samples of the kind."""
    is_suspect = table["kind"].isin(searches.keys())
    columns = min(count, table["kind"].where(is_suspect).value_counts().max())
    rows = []
    for kind, search in searches.items():
        suspects = table[table["kind"] == kind]
        if suspects.empty:
            continue
        prefix = "feature_train" if kind == "features" else "train"
        shown = suspects.sort_values([f"{prefix}_distance", "sample"], kind="stable").head(count)
        rows += [
            Row(
                f"{fill(search['name'], NAME_LENGTH)}\n{len(shown)} of {len(suspects)}",
                _fill(samples[shown["sample"]], columns),
                gap_above=True,
            ),
            Row("nearest\ntraining face", _fill(train[shown[prefix]], columns)),
            Row("distance", _list_distances(shown[f"{prefix}_distance"], columns)),
        ]
    return compose_rows(f"Suspected copies: {is_suspect.sum()} of {len(table)} samples", rows)


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
