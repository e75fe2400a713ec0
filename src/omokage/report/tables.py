"""Build the tables of the report. A reader of the HTML page can sort their rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from omokage.report.run import Run
from omokage.report.wording import format_number, format_percent, format_signed

SCORE_MEANINGS = {
    "distance": "distance between all samples and all real faces; lower is better",
    "kid": "another distance between the two sets, an unbiased estimate; lower is better",
    "precision": "share of samples inside the 3-nearest-neighbour radius of a real face; higher is better",
    "recall": "share of real faces inside the 3-nearest-neighbour radius of a sample; higher is better",
    "density": "how densely real faces lie around the samples; higher is better",
    "coverage": "share of real faces with a sample inside their own 5-nearest-neighbour radius; higher is better",
    "identical": "share of the samples that equal an earlier sample in every pixel; lower is better",
    "near_identical": "share of the samples that are nearly identical to another sample; as in real faces is good",
    "uniform": "share of the samples of a single colour; lower is better",
    "face_rate": "share of the samples in which the face detector finds a face; higher is better",
    "distance_train": "distance to the training set instead of the held-out set; lower, also for copied faces",
    "copied": "share of the samples that are suspected copies of training faces; lower is better",
    "copy_ratio": "distance to the nearest training face, divided by that to the nearest held-out face",
}
STYLE_MEANINGS = {
    "red": "mean shift, of 255",
    "green": "mean shift, of 255",
    "blue": "mean shift, of 255",
    "contrast": "standard deviation of the grey values, mean over the images; ratio to held-out faces",
    "saturation": "mean of the largest minus the smallest of red, green and blue; ratio to held-out faces",
    "sharpness": "variance of the Laplacian of the grey values; ratio to held-out faces",
}
# If the detector finds a face in less than this share of the real faces, the face rate says little.
LOW_FACE_RATE = 0.2
SCORE_NAMES = {
    "kid": "KID",
    "face_rate": "face rate",
    "near_identical": "nearly identical",
    "copied": "suspected copies",
    "copy_ratio": "copy ratio",
}
# Headings for the columns of progress.csv and study.csv.
CSV_HEADINGS = {"pictures": "training images", "kid": "KID", "evaluations": "NFE", "n": "samples"}


@dataclass(frozen=True)
class Cell:
    """A cell of a table: the text, and the number to sort the cell by (None: by the text)."""

    text: str
    sort_key: float | None = None


@dataclass(frozen=True)
class Table:
    """A table with a caption and column headings. The first cell of a row is its heading.

    With `has_meanings`, the last column explains each row. With `is_compact`, the table is printed small and in several
    columns, since it is long and narrow.
    """

    caption: str
    columns: Sequence[str]
    rows: list[list[Cell]]
    has_meanings: bool = False
    is_compact: bool = False


def tabulate_scores(run: Run) -> Table:
    """Return a table of the scores, with floors (real-vs-real baselines), confidence intervals and meanings."""
    metrics, rows = run.metrics, []
    for key, meaning in SCORE_MEANINGS.items():
        if key not in metrics:  # distance_train is computed only if distance_to_train is set
            continue
        if key == "face_rate" and metrics["face_rate_floor"] < LOW_FACE_RATE:
            continue
        ends = [metrics[f"{key}_{end}"] for end in ("low", "high") if f"{key}_{end}" in metrics]
        interval = Cell(" to ".join(map(format_number, ends)), *ends[:1])
        floor = metrics[f"{key}_floor"]
        name = _name_score(key, metrics["score"])
        rows.append([Cell(name), _make_number_cell(metrics[key]), interval, _make_number_cell(floor), Cell(meaning)])
    columns = ["score", "samples", "95\u00a0% interval", "real faces", "meaning"]
    return Table("Scores", columns, rows, has_meanings=True)


def _name_score(key: str, distance: str) -> str:
    if key == "distance_train":
        return f"{distance} against the training set" + (", as papers publish it" if distance == "FID" else "")
    return distance if key == "distance" else SCORE_NAMES.get(key, key)


def tabulate_style(run: Run) -> Table:
    """Return a table that compares samples with held-out faces in colour, contrast, saturation and sharpness.

    The table also compares training faces with held-out faces (the floor).
    """
    rows = []
    for key, meaning in STYLE_MEANINGS.items():
        values = [run.metrics[group][key] for group in ("style", "style_floor")]
        is_shift = meaning.startswith("mean shift")
        cells = [Cell(format_signed(value), value) if is_shift else _make_number_cell(value) for value in values]
        rows.append([Cell(key), *cells, Cell(meaning)])
    columns = ["measure", "samples", "training faces", "meaning"]
    return Table("Style compared with held-out faces", columns, rows, has_meanings=True)


def tabulate_dropped(run: Run) -> Table:
    """Return a table of the number of dropped faces by reason, with their share of all faces.

    An image in which no face was found counts as one face.
    """
    faces = run.faces["kept"] + sum(run.faces["dropped"].values())
    rows = [
        [Cell(reason), _make_number_cell(count), Cell(format_percent(count / faces), count / faces)]
        for reason, count in sorted(run.faces["dropped"].items())
    ]
    return Table("Dropped faces", ["reason", "faces", "share of all faces"], rows)


def tabulate_scores_csv(caption: str, rows: Sequence[Mapping[str, str]]) -> Table:
    """Return a table of the rows of progress.csv or study.csv."""
    headings = [CSV_HEADINGS.get(column, column) for column in rows[0]]
    return Table(caption, headings, [[_parse_cell(value) for value in row.values()] for row in rows])


def _make_number_cell(value: float) -> Cell:
    return Cell(format_number(value), value)


def _parse_cell(value: str) -> Cell:
    try:
        return _make_number_cell(int(value) if value.isdecimal() else float(value))
    except ValueError:
        return Cell(value)
