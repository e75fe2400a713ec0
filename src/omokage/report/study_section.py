"""Write the section on the project's study of noise schedule, prediction and learning rate.

The study is a table in the repository. Its runs are not those of the report, so every sentence is computed from the
table, and the first says what the runs were.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from statistics import fmean
from typing import Any

from omokage.report.content import Block
from omokage.report.run import Run
from omokage.report.settings import merge_params
from omokage.report.tables import Cell, Table
from omokage.report.trials import PARAMETERS, Trial, group_trials
from omokage.report.wording import format_count, format_number, format_value, join_words
from omokage.stamps.records import Record

HEADING = "Hyperparameter study"
NAMES = {"schedule": "schedule", "prediction": "prediction", "lr": "learning rate"}
PREDICTIONS = {"v": "the velocity v", "eps": "the noise eps", "x0": "the clean image x0"}


def describe_study(run: Run, records: Sequence[Record]) -> tuple[str, list[Block]]:
    """Return heading and blocks of the section on the study, and say where the parameters of this run stand in it."""
    trials = group_trials(run.trials)
    if not trials:
        return HEADING, ["The table of the study is empty."]
    return HEADING, [
        _describe_setup(run.trials),
        tabulate_trials(trials),
        _describe_best(trials),
        _describe_lesson(trials),
        _describe_rates(trials),
        _compare_with_run(trials, run.trials, merge_params(records)),
    ]


def tabulate_trials(trials: Sequence[Trial]) -> Table:
    """Return a table of the trials; the first, which is the best, is marked."""
    rows = []
    has_seeds = any(trial.seeds > 1 for trial in trials)
    for number, trial in enumerate(trials, 1):
        interval = f"{format_number(trial.low)} to {format_number(trial.high)}"
        distance = f"{format_number(trial.distance)}{' (best)' if number == 1 else ''}"
        rows.append(
            [
                Cell(trial.parameters["schedule"]),
                Cell(trial.parameters["prediction"]),
                Cell(trial.parameters["lr"], float(trial.parameters["lr"])),
                Cell(distance, trial.distance),
                Cell(interval, trial.low),
                *(Cell(f"{trial.scores[name]:.3f}", trial.scores[name]) for name in ("precision", "recall")),
                Cell(format_number(trial.scores["train.seconds"]), trial.scores["train.seconds"]),
                *([Cell(str(trial.seeds), trial.seeds)] if has_seeds else []),
            ]
        )
    columns = [*NAMES.values(), "distance", "95\u00a0% interval", "precision", "recall", "training (s)"]
    return Table(
        "Study, lowest distance first; an interval covers those of all seeds",
        [*columns, *(["runs"] if has_seeds else [])],
        rows,
    )


def is_clear(first: Trial, second: Trial, spread: float) -> bool:
    """Return whether two trials differ beyond chance.

    Their intervals must not overlap, and their means must differ by more than `spread`, the largest difference between
    runs that differ only in the seed.
    """
    is_apart = first.high < second.low or second.high < first.low
    return is_apart and abs(first.distance - second.distance) > spread


def _find_spread(trials: Sequence[Trial]) -> float:
    """Return the largest difference in distance between runs that differ only in the seed, 0 without such runs."""
    return max(trial.spread for trial in trials)


def _describe_setup(rows: Sequence[Mapping[str, str]]) -> str:
    steps, samples, sides, batches = (
        join_words([f"{value:,}" for value in sorted({int(row[key]) for row in rows})])
        for key in ("steps", "samples", "image_size", "batch_size")
    )
    sources, optimisers = (join_words(sorted({row[key] for row in rows})) for key in ("source", "optimiser"))
    seconds, floor = (
        format_number(fmean(float(row[key]) for row in rows)) for key in ("train.seconds", "distance_floor")
    )
    predictions = join_words([PREDICTIONS[value] for value in sorted({row["prediction"] for row in rows})])
    return (
        "This study belongs to the project, not to this run. It varies the noise schedule, the prediction "
        f"({predictions}) and the learning rate in {format_count(len(rows), 'short training')}, with source {sources} "
        f"and an image size of {sides} pixels. Each has {steps} steps with batches of {batches} and the optimiser "
        f"{optimisers}. {_describe_seeds(rows)} A training took {seconds} s on average. Each was scored with {samples} "
        "samples, so its distances can be compared with each other only, not with the scores of this run. Real faces "
        f"have a distance of {floor} (the floor)."
    )


def _describe_seeds(rows: Sequence[Mapping[str, str]]) -> str:
    """Return a sentence on how many combinations ran with which seeds. Without the column, all had the default."""
    seeds: dict[tuple[str, ...], set[int]] = {}
    for row in rows:
        seeds.setdefault(tuple(row[key] for key in PARAMETERS), set()).add(int(row.get("seed", 0)))
    counts = Counter(tuple(sorted(values)) for values in seeds.values())
    words = [
        f"{count} ran with {'seed' if len(values) == 1 else 'seeds'} {join_words([str(value) for value in values])}"
        for values, count in sorted(counts.items())
    ]
    return f"Of the {format_count(len(seeds), 'combination')}, {join_words(words)}."


def _describe_best(trials: Sequence[Trial]) -> str:
    best, spread = trials[0], _find_spread(trials)
    rule = "their 95\u00a0% intervals do not overlap"
    if spread:
        rule += (
            f" and it is larger than {format_number(spread)}, the largest difference between runs that differ only in "
            "the seed"
        )
    text = f"Below, a difference between two rows counts as clear if {rule}."
    if not spread:
        text += " Each row is one training, so the study does not show how much another seed changes."
    unclear = sum(not is_clear(best, trial, spread) for trial in trials[1:])
    if unclear:
        others = format_count(len(trials) - 1, "row")
        return f"{text} Of the other {others}, {unclear} are not clearly worse than the best."
    return f"{text} All other rows are clearly worse than the best."


def _describe_lesson(trials: Sequence[Trial]) -> str:
    """Return sentences with the differences between values that are clear in most pairs of rows, and only one way."""
    lessons = [lesson for key in PARAMETERS for lesson in _compare_values(trials, key)]
    if not lessons:
        return "What it teaches: no value of a parameter is clearly better than another in most rows."
    return (
        f"What it teaches: {'; '.join(lessons)} (mean over the rows that are equal in the other parameters). No other "
        "difference between two values is clear in most of these rows."
    )


def _compare_values(trials: Sequence[Trial], key: str) -> Iterator[str]:
    """Yield words for every two values of the parameter `key` of which one is clearly better in most pairs of rows."""
    values = sorted({trial.parameters[key] for trial in trials}, key=lambda value: (_to_number(value), value))
    others = [other for other in PARAMETERS if other != key]
    spread = _find_spread(trials)
    for first, second in permutations(values, 2):
        pairs = [
            (one, two)
            for one in trials
            for two in trials
            if (one.parameters[key], two.parameters[key]) == (first, second)
            and all(one.parameters[other] == two.parameters[other] for other in others)
        ]
        clear = [pair for pair in pairs if is_clear(*pair, spread)]
        if 2 * len(clear) > len(pairs) and all(one.distance < two.distance for one, two in clear):
            difference = format_number(fmean(two.distance - one.distance for one, two in pairs))
            yield f"{NAMES[key]} {first} is better than {second}, by {difference}"


def _describe_rates(trials: Sequence[Trial]) -> str:
    """Return sentences on the best learning rate for each prediction, over all schedules."""
    best: dict[str, list[str]] = {}
    for prediction in sorted({trial.parameters["prediction"] for trial in trials}):
        rows = [trial for trial in trials if trial.parameters["prediction"] == prediction]
        rates = sorted({trial.parameters["lr"] for trial in rows}, key=float)
        if len(rates) < 2:
            continue
        rate = min(rates, key=lambda rate: _average_distance(rows, rate))
        text = f"is {rate}"
        if rate in (rates[0], rates[-1]):
            end, other = ("highest", "higher") if rate == rates[-1] else ("lowest", "lower")
            text += f", the {end} that was tried, so a {other} one may be better still"
        best.setdefault(text, []).append(prediction)
    sentences = [f"The best learning rate for {join_words(names)} {text}." for text, names in best.items()]
    return " ".join(sentences) or "The study has one learning rate for each prediction."


def _average_distance(rows: Sequence[Trial], rate: str) -> float:
    return fmean(trial.distance for trial in rows if trial.parameters["lr"] == rate)


def _compare_with_run(trials: Sequence[Trial], rows: Sequence[Mapping[str, str]], params: Mapping[str, Any]) -> str:
    values = {"schedule": params["schedule"], "prediction": params["prediction"], "lr": f"{params['lr']:g}"}
    text = f"This run has schedule {values['schedule']}, prediction {values['prediction']} and learning rate "
    text += values["lr"]
    differences = _list_differences(rows, params)
    combinations = [dict(trial.parameters) for trial in trials]
    if values in combinations:
        text += f", as row {combinations.index(values) + 1} of {len(trials)} in the table"
    else:
        rates = join_words(sorted({trial.parameters["lr"] for trial in trials}, key=float))
        text += f", a combination that the study does not contain; its learning rates are {rates}"
    return f"{text}. {differences}" if differences else f"{text}."


def _list_differences(rows: Sequence[Mapping[str, str]], params: Mapping[str, Any]) -> str:
    """Return a sentence on the other settings in which the study and the run differ, "" if there are none."""
    settings = {"source": "source", "image_size": "image size", "batch_size": "batch size", "steps": "steps"}
    settings |= {"optimiser": "optimiser"}
    found = [
        f"{name} {join_words(values)} instead of {format_value(params[key])}"
        for key, name in settings.items()
        if str(params[key]) not in (values := sorted({row[key] for row in rows}))
    ]
    return f"Other settings of the study differ, so its order may not hold here: {', '.join(found)}." if found else ""


def _to_number(value: str) -> float:
    """Return a value as a number to sort by; words come first, in the order of the alphabet."""
    try:
        return float(value)
    except ValueError:
        return 0.0
