"""What `dvc metrics`, `dvc exp show` and `dvc plots` show: few numbers, and each chart once with names and units."""

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.clone import ROOT, Clone
from support.runs import STAGES

from omokage.config.yaml_file import load_yaml

WIDTH = 160  # columns of a terminal
NUMBERS = [
    *("kept", "dropped", "loss", "step"),
    *("distance", "distance_floor", "kid", "prec", "recall", "coverage", "copied", "face_rate"),
]


def list_outputs(kind: str) -> list[str]:
    """Return the outputs that dvc.yaml declares under `kind`, without the run records."""
    outs = [out for stage in load_yaml(ROOT / "dvc.yaml")["stages"].values() for out in stage.get(kind, [])]
    records = {stage.record for stage in STAGES.values()}
    return [path for path in (out if isinstance(out, str) else next(iter(out)) for out in outs) if path not in records]


def test_metrics_are_the_numbers_that_people_compare(clone_with_experiment: Clone) -> None:
    clone, files = clone_with_experiment, list_outputs("metrics")
    shown = json.loads(clone.dvc("metrics", "show", "--json", *files).stdout)
    assert [key for file in shown[""]["data"].values() for key in file["data"]] == NUMBERS
    table = clone.dvc("metrics", "show", *files).stdout.splitlines()
    assert len(table) == 1 + len(files) and max(map(len, table)) <= WIDTH
    difference = clone.dvc("metrics", "diff", "HEAD", "other").stdout.splitlines()
    assert max(map(len, difference)) <= WIDTH
    assert {row.split()[1] for row in difference[1:]} <= {*NUMBERS}


def test_the_first_columns_of_the_table_of_experiments_are_these_numbers(clone_with_experiment: Clone) -> None:
    table = clone_with_experiment.dvc("exp", "show").stdout
    (header,) = (line for line in table.splitlines() if "Experiment" in line)
    assert header.split()[: 2 + len(NUMBERS)] == ["Experiment", "Created", *NUMBERS]
    assert header.index("face_rate") + len("face_rate") <= WIDTH
    states = json.loads(clone_with_experiment.dvc("exp", "show", "--json").stdout)
    named = {path: [*file["data"]] for path, file in states[0]["data"]["metrics"].items() if file["data"]}
    assert [key for keys in named.values() for key in keys] == NUMBERS


def test_make_experiments_shows_any_parameter_that_differs(
    clone_with_experiment: Clone, preload: Callable[[Clone], Clone], tmp_path: Path
) -> None:
    clone = preload(clone_with_experiment.copy(tmp_path / "clone"))
    clone.dvc("exp", "run", "--name", "titled", "-S", "report_title=Another")
    (command,) = re.findall(r"^\t\$\(BIN\)/dvc exp show (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    flags = [word.strip("'").replace("$$", "$") for word in command.split()]
    table = clone.dvc("exp", "show", *flags, COLUMNS=str(WIDTH)).stdout.splitlines()
    (header,) = (line for line in table if "Experiment" in line)
    assert header.split() == ["Experiment", "Created", "loss", "distance", "kid", "lr", "report_title"]
    assert max(map(len, table)) <= WIDTH
    rows = {name: next(line for line in table if f"[{name}]" in line) for name in ("other", "titled")}
    assert "0.001" in rows["other"] and "Another" in rows["titled"]


def test_each_chart_is_shown_once(clone_with_experiment: Clone, tmp_path: Path) -> None:
    done = clone_with_experiment.dvc("plots", "show", "--json", "-o", str(tmp_path))
    shown = json.loads(done.stdout)
    assert "errors" not in shown and "DVC failed" not in done.stderr
    drawn = [path for path, plots in shown["data"].items() if plots]
    # The study is empty with these parameters.
    assert {*shown["data"]} - {*drawn} == {"results/curation.json", "results/scores.json", "results/study.csv"}
    names = Counter(Path(path).name if path.endswith("gif") else Path(path).stem for path in drawn)
    assert {*names} >= {"loss", "noise_levels", "progress", "schedule", "samples"} and set(names.values()) == {1}
    images = {path for path in list_outputs("plots") + list_outputs("outs") if path.startswith("results/figures/")}
    assert {Path(path).stem for path in images} <= {Path(path).stem for path in shown["data"]}


def test_an_empty_table_leaves_no_hole_in_the_page(clone_with_experiment: Clone, tmp_path: Path) -> None:
    clone_with_experiment.dvc("plots", "show", "-o", str(tmp_path / "page"))
    html = (tmp_path / "page" / "index.html").read_text()
    assert '<meta charset="utf-8">' in html and "spec = {};" in html
    # The page's own function removes the element of such a chart.
    assert "if (!Object.keys(spec).length) element.remove();" in html


def find_values(content: Any, key: str) -> list[Any]:
    """Return the values of `key` at any depth."""
    if isinstance(content, list):
        return [value for item in content for value in find_values(item, key)]
    if not isinstance(content, dict):
        return []
    return [value for name, inner in content.items() for value in ([inner] * (name == key) + find_values(inner, key))]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("loss", {"step", "loss", "train", "held_out"}),
        ("noise_levels", {"log_snr", "train", "held_out"}),
        ("progress", {"step", "distance", "kid"}),
        ("study", {"evaluations", "distance", "kid", "sampler", "weights"}),
    ],
)
def test_every_chart_of_a_table_names_its_axes_and_compares_revisions(name: str, columns: set[str]) -> None:
    template = json.loads((ROOT / ".dvc" / "plots" / f"{name}.json").read_text())
    for axis in ("x", "y"):
        encodings = find_values(template, axis)
        assert encodings and all(encoding["title"] for encoding in encodings)
    assert all("no unit" in encoding["title"] for encoding in find_values(template, "y"))
    fields = {field for field in find_values(template, "field") if isinstance(field, str)}
    folded = {field for fields in find_values(template, "fold") for field in fields}
    assert columns <= fields | folded and "rev" in fields
    assert template["title"]["text"] == "<DVC_METRIC_TITLE>" and template["data"]["values"] == "<DVC_METRIC_DATA>"
