"""Open the inputs of figures: CSV and JSON files, arrays of safetensors files, and the faces of a split."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors import safe_open
from safetensors.numpy import load_file

from omokage.base.json_file import read_json
from omokage.data import shards

LABELS = "labels"


def open_inputs(locate: Callable[[str], Path]) -> Callable[[str], Any]:
    """Return a function that returns the content of an input and caches it.

    The function takes a name as in FigureSpec.inputs: `path` or `path:part`. The part `labels` of a file of sample sets
    is a list with the settings of each set. `locate` maps a path that dvc.yaml declares to the actual path.
    """

    @cache
    def open_input(name: str) -> Any:
        declared, _, part = name.partition(":")
        path = locate(declared)
        if declared == "data/faces":
            return shards.read_faces(path, part).numpy()
        if declared.endswith(".csv"):
            return pd.read_csv(path)
        if declared.endswith(".json"):
            return read_json(path)
        if part == LABELS:
            with safe_open(path, "numpy") as file:
                return json.loads(file.metadata()[LABELS])
        arrays = load_file(path)
        return arrays[part] if part else arrays

    return open_input
