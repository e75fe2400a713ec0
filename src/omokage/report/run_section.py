"""Write the section on how the run was computed: devices, the time of each stage, throughput and package versions."""

from collections.abc import Iterator, Mapping, Sequence

from omokage.report.content import Block
from omokage.report.run import Run
from omokage.report.settings import merge_params
from omokage.report.tables import Cell, Table
from omokage.report.wording import format_count, format_duration, format_number, format_percent, join_words
from omokage.stamps.records import Record, find_record

HEADING = "Hardware and time"
UNKNOWN = "unknown"


def describe_run(run: Run, records: Sequence[Record]) -> tuple[str, list[Block]]:
    """Return heading and blocks of the section on devices, times, throughput and versions."""
    seconds = run.duration.by_stage
    return HEADING, [
        _describe_total(records, run),
        tabulate_stages(records, seconds),
        *_describe_throughput(records, run),
        tabulate_packages(records),
    ]


def tabulate_stages(records: Sequence[Record], seconds: Mapping[str, float]) -> Table:
    """Return a table of the time, the device, the threads and the precision of each stage.

    `seconds` are the known times by stage. A stage that computes on no device has empty cells.
    """
    total = sum(seconds.values())
    rows = []
    for number, record in enumerate(records, 1):
        facts, time = record["facts"], seconds.get(record["stage"])
        rows.append(
            [
                Cell(record["stage"], number),
                Cell(UNKNOWN, -1) if time is None else Cell(format_duration(time), time),
                Cell("", -1) if time is None else Cell(format_percent(time / total if total else 0), time),
                Cell(facts.get("device", "")),
                Cell(format_number(record["threads"]), record["threads"]),
                Cell(facts.get("precision", "")),
            ]
        )
    columns = ["stage", "time", "share", "device", "CPU threads", "precision"]
    return Table("Time and device of each stage before this report", columns, rows)


def tabulate_packages(records: Sequence[Record]) -> Table:
    """Return a table of the versions of the packages that the stages ran with."""
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record["packages"].items():
            versions.setdefault(package, set()).add(version)
    rows = [[Cell(package), Cell(", ".join(sorted(versions[package])))] for package in sorted(versions)]
    return Table("Packages", ["package", "version"], rows, is_compact=True)


def _list_machines(records: Sequence[Record], run: Run) -> Iterator[str]:
    """Yield a sentence for each machine on which stages ran."""
    stages: dict[str, list[str]] = {}
    for stage, machine in run.duration.machines.items():
        stages.setdefault(machine, []).append(stage)
    for machine, names in stages.items():
        which = "All stages" if len(names) == len(records) else f"Of the stages, {join_words(names)}"
        yield f"{which} ran on this machine: {machine}."


def _describe_total(records: Sequence[Record], run: Run) -> str:
    known = run.duration.by_stage
    missing = len(records) - len(known)
    text = " ".join([f"The network was trained on {run.duration.device}.", *_list_machines(records, run)])
    if not known:
        return f"{text} The times of the stages are unknown."
    total = format_duration(sum(known.values()))
    if missing:
        return f"{text} The stages whose time is known took {total} together, without {format_count(missing, 'stage')}."
    return f"{text} All stages before this report took {total} together."


def _describe_throughput(records: Sequence[Record], run: Run) -> list[str]:
    """Return the images per second of training and of sampling, as far as the times are known."""
    params, seconds, sentences = merge_params(records), run.duration.by_stage, []
    if training := seconds.get("train"):
        images = params["steps"] * params["batch_size"]
        if run.half_size_images:
            sentences.append(
                f"The training went through {run.half_size_images:,} images at half the size and then through "
                f"{images:,} images, in {format_duration(training)}, including the start and the held-out errors."
            )
        else:
            sentences.append(
                f"The training went through {images:,} images in {format_duration(training)}, which is "
                f"{format_number(images / training)} images per second, including the start and the held-out errors."
            )
    if sampling := seconds.get("sample"):
        images = find_record(records, "sample")["facts"]["images"]
        sentences.append(
            f"The stage sample generated {images:,} images in {format_duration(sampling)}, which is "
            f"{format_number(images / sampling)} images per second. {_describe_sets(images, params['samples'], run)}"
        )
    return [" ".join(sentences)] if sentences else []


def _describe_sets(images: int, samples: int, run: Run) -> str:
    """Return sentences on how many of the generated images were kept, and in which sample sets."""
    sets = [f"{samples:,} samples of this run"]
    kept = samples
    for rows, purpose in ((run.progress, "the scores during training"), (run.study, "the comparison of samplers")):
        if count := sum(int(row["n"]) for row in rows):
            sets.append(f"{count:,} for {purpose}")
            kept += count
    if kept == images:
        return f"They are {join_words(sets)}."
    return (
        f"Of these, {kept:,} were kept: {join_words(sets)}. The others are the second row of the figure samplers, and "
        "images that fill the last batch of a set."
    )
