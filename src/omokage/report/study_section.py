"""Write the section on the project's study of noise schedule, prediction and learning rate.

The study is a table in the repository. Its runs are not those of the report, so every sentence is computed from the
table, and the first says what the runs were.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import Any

from omokage.report.content import Block, Code, Paragraph
from omokage.report.run import Run
from omokage.report.settings import merge_params
from omokage.report.tables import Cell, Table
from omokage.report.trials import PARAMETERS, Trial, group_trials
from omokage.report.wording import format_count, format_number, join_words
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
        *(" ".join(sentences) for key in PARAMETERS if (sentences := list(_compare_values(trials, key)))),
        _describe_rates(trials),
        _compare_with_run(trials, run.trials, merge_params(records)),
        Paragraph(["What it teaches, and the machine that it ran on, are in ", Code("docs/benchmarks.md"), "."]),
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
    return Table("Study, lowest distance first", [*columns, *(["runs"] if has_seeds else [])], rows)


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
    # Without the column, all runs had the default.
    seeds = sorted({int(row.get("seed", 0)) for row in rows})
    return (
        "This study belongs to the project, not to this run. It varies the noise schedule, the prediction "
        f"({predictions}) and the learning rate in {format_count(len(rows), 'short training')}, with source {sources} "
        f"and an image size of {sides} pixels. Each has {steps} steps with batches of {batches} and the optimiser "
        f"{optimisers}, seed {join_words([str(seed) for seed in seeds])}. A training took {seconds} s on average. Each "
        f"was scored with {samples} samples, so its distances can be compared with each other only, not with the "
        "scores of this run. "
        f"Real faces have a distance of {floor} (the floor)."
    )


def _describe_best(trials: Sequence[Trial]) -> str:
    best, spread = trials[0], _find_spread(trials)
    rule = "their 95\u00a0% intervals do not overlap"
    if spread:
        rule += (
            f" and it is larger than {format_number(spread)}, the largest difference between runs that differ only in "
            "the seed"
        )
    text = (
        f"The lowest distance, {format_number(best.distance)}, has {best.label}. Below, a difference between two rows "
        f"counts as clear if {rule}."
    )
    if not spread:
        text += " Each row is one training, so the study does not show how much another seed changes."
    unclear = [trial.label for trial in trials[1:] if not is_clear(best, trial, spread)]
    if unclear:
        return f"{text} Not clearly worse than the best: {'; '.join(unclear)}."
    return f"{text} All other rows are clearly worse than the best."


def _compare_values(trials: Sequence[Trial], key: str) -> Iterator[str]:
    """Yield a sentence for every two values of the parameter `key`, on rows that are equal in the other parameters."""
    values = sorted({trial.parameters[key] for trial in trials}, key=lambda value: (_to_number(value), value))
    others = [other for other in PARAMETERS if other != key]
    spread = _find_spread(trials)
    for first, second in combinations(values, 2):
        pairs = [
            (one, two)
            for one in trials
            for two in trials
            if (one.parameters[key], two.parameters[key]) == (first, second)
            and all(one.parameters[other] == two.parameters[other] for other in others)
        ]
        if pairs:
            yield _compare_pairs(key, pairs, spread, join_words([NAMES[other] for other in others]))


def _compare_pairs(key: str, pairs: Sequence[tuple[Trial, Trial]], spread: float, same: str) -> str:
    """Return a sentence on pairs of trials with two values of the parameter `key`, the better value first."""
    if fmean(one.distance - two.distance for one, two in pairs) > 0:
        pairs = [(two, one) for one, two in pairs]
    better, worse = (trial.parameters[key] for trial in pairs[0])
    lower = [pair for pair in pairs if pair[0].distance < pair[1].distance]
    higher = [pair for pair in pairs if pair[0].distance >= pair[1].distance]
    clear, clear_higher = (sum(is_clear(*pair, spread) for pair in group) for group in (lower, higher))
    rows = f"{format_count(len(pairs), 'pair')} of rows with the same {same}"
    text = f"{NAMES[key].capitalize()} {better} has a lower distance than {worse} in {len(lower)} of {rows}"
    text += f", clearly in {clear}"
    if higher:
        text += f"; in {len(higher)} it is not lower (clearly higher in {clear_higher})"
    difference = format_number(fmean(two.distance - one.distance for one, two in pairs))
    return f"{text}. The mean difference is {difference}."


def _describe_rates(trials: Sequence[Trial]) -> str:
    """Return sentences on the best learning rate for each prediction, over all schedules."""
    sentences = []
    for prediction in sorted({trial.parameters["prediction"] for trial in trials}):
        rows = [trial for trial in trials if trial.parameters["prediction"] == prediction]
        rates = sorted({trial.parameters["lr"] for trial in rows}, key=float)
        if len(rates) < 2:
            continue
        best = min(rates, key=lambda rate: _average_distance(rows, rate))
        text = f"The best learning rate for {prediction} is {best}"
        if best in (rates[0], rates[-1]):
            end, other = ("highest", "higher") if best == rates[-1] else ("lowest", "lower")
            text += f", the {end} that was tried, so a {other} one may be better still"
        sentences.append(f"{text}.")
    return " ".join(sentences) or "The study has one learning rate for each prediction."


def _average_distance(rows: Sequence[Trial], rate: str) -> float:
    return fmean(trial.distance for trial in rows if trial.parameters["lr"] == rate)


def _compare_with_run(trials: Sequence[Trial], rows: Sequence[Mapping[str, str]], params: Mapping[str, Any]) -> str:
    values = {"schedule": params["schedule"], "prediction": params["prediction"], "lr": f"{params['lr']:g}"}
    words = f"schedule {values['schedule']}, prediction {values['prediction']} and learning rate {values['lr']}"
    text = f"This run has {words}"
    if values in [dict(trial.parameters) for trial in trials]:
        number = [dict(trial.parameters) for trial in trials].index(values) + 1
        return f"{text}, which is row {number} of {len(trials)} in the table."
    text += ", a combination that the study does not contain"
    same = [trial for trial in trials if all(trial.parameters[key] == values[key] for key in PARAMETERS[:2])]
    if same:
        rate = same[0].parameters["lr"]
        text += f". With this schedule and prediction, the study's best learning rate is {rate}"
    return f"{text}.{_explain_rate(rows, params)}"


def _explain_rate(rows: Sequence[Mapping[str, str]], params: Mapping[str, Any]) -> str:
    """Return a sentence on why the run may need another learning rate than the study, or nothing."""
    for key, name in (("optimiser", "the optimiser"), ("batch_size", "batches of"), ("image_size", "an image size of")):
        values = sorted({row[key] for row in rows})
        if str(params[key]) not in values:
            return (
                f" The study has {name} {join_words(values)} and this run {params[key]}, which may need another "
                "learning rate."
            )
    return ""


def _to_number(value: str) -> float:
    """Return a value as a number to sort by; words come first, in the order of the alphabet."""
    try:
        return float(value)
    except ValueError:
        return 0.0
