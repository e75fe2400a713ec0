"""Group the runs of the project's study of hyperparameters: a trial for each combination of parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

PARAMETERS = ("schedule", "prediction", "lr")


@dataclass(frozen=True)
class Trial:
    """The runs with one combination of parameters, one run for each seed.

    `scores` are the means over the runs. `low` and `high` enclose the 95 % intervals of the distance of all runs, and
    `spread` is the difference between their largest and smallest distance, 0 for one run.
    """

    parameters: Mapping[str, str]
    seeds: int
    scores: Mapping[str, float]
    low: float
    high: float
    spread: float

    @property
    def distance(self) -> float:
        """The mean distance."""
        return self.scores["distance"]

    @property
    def label(self) -> str:
        """The parameters in words."""
        return ", ".join(
            [self.parameters["schedule"], self.parameters["prediction"], f"learning rate {self.parameters['lr']}"]
        )


def group_trials(rows: Sequence[Mapping[str, str]]) -> list[Trial]:
    """Return the trials in the rows of the table, the one with the lowest distance first."""
    groups: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        values = row["schedule"], row["prediction"], f"{float(row['lr']):g}"
        groups.setdefault(values, []).append(row)
    trials = []
    for values, runs in groups.items():
        names = ("distance", "distance_floor", "precision", "recall", "train.seconds")
        distances = [float(row["distance"]) for row in runs]
        trials.append(
            Trial(
                dict(zip(PARAMETERS, values, strict=True)),
                len(runs),
                {name: fmean(float(row[name]) for row in runs) for name in names},
                min(float(row["distance_low"]) for row in runs),
                max(float(row["distance_high"]) for row in runs),
                max(distances) - min(distances),
            )
        )
    return sorted(trials, key=lambda trial: trial.distance)
