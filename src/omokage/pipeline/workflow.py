"""The Snakefile's logic: read the configuration, decide which stages must run, and manage logs."""

import difflib
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from omokage.base.environment import read_positive
from omokage.base.errors import UserError
from omokage.base.files import remove
from omokage.config.params_file import check_params
from omokage.config.yaml_file import load_yaml
from omokage.params.schema import Params
from omokage.pipeline import rule_files, slurm
from omokage.pipeline.graph import Stage, find_with_downstream, read_stages
from omokage.pipeline.launch import log_folder
from omokage.pipeline.snakemake_options import Options
from omokage.pipeline.stale import find_stale

# CPU threads of each stage. The number changes the last bits of sums, so all profiles use the same; OMOKAGE_THREADS
# overrides it.
THREADS = 2
LOG_LINES = 20  # number of lines, from the end of a log, that `print_logs` prints
# The numbers in a profile's configfile, each with its default and its minimum. workflow/profiles/slurm describes them.
NUMBERS = {
    "gpus": (0, 0),
    "share_device": (0, 0),
    "detect_jobs": (1, 1),
    "faces_jobs": (1, 1),
    "sample_jobs": (1, 1),
    "train_nodes": (1, 1),
    "train_processes": (1, 1),
    "micro_batch": (0, 1),
}


@dataclass
class Workflow:
    """The pipeline as one run of Snakemake sees it: all stages, or the one named by `--config stage=NAME`.

    `config` is Snakemake's configuration, and `options` is what the user asked for. `is_main` is false in the processes
    that Snakemake starts for single jobs. `decide` sets `to_run`, the stages to run, and `stale`, the reasons by stage.
    """

    root: Path
    config: Mapping[str, Any]
    is_main: bool = True
    options: Options = field(default_factory=Options)
    stages: dict[str, Stage] = field(init=False)
    to_run: set[str] = field(init=False, default_factory=set)
    stale: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.options.touch:
            self.refuse("--touch: hashes, not times, decide what is up to date: run `dvc commit` to accept files as is")
        if Path.cwd().resolve() != self.root.resolve():
            self.refuse(f"Snakemake must be run in the checkout: run `cd {shlex.quote(str(self.root))}` first")
        self._check_config()
        self.stages = read_stages(self.root)
        if self.single_stage and self.single_stage not in self.stages:
            self.refuse(f"stage = {self.single_stage!r}: expected one of {', '.join(self.stages)}")
        if set("{}:\n") & set(str(self.logs)):
            self.refuse(f"{str(self.logs)!r}: expected a path without colons, braces and line breaks")

    def _check_config(self) -> None:
        """Raise UserError for a key of the configuration that nothing reads."""
        for key, value in self.config.items():
            if key in Params.model_fields:
                self.refuse(f"{key} is a parameter: set it in params.yaml, or run `dvc exp run -S {key}={value}`")
            if key not in (*NUMBERS, "stage"):
                self.refuse(f"the configuration has the unknown key {key}: {_suggest(key, NUMBERS)}")

    @property
    def single_stage(self) -> str | None:
        """The stage named by `--config stage=NAME`, as DVC passes it, or None if all stages take part."""
        return self.config.get("stage")

    @property
    def names(self) -> list[str]:
        """The stages with a Snakemake rule: the one that DVC runs, or all if DVC did not start Snakemake."""
        return [self.single_stage] if self.single_stage else list(self.stages)

    @property
    def threads(self) -> int:
        """CPU threads of each stage."""
        try:
            return read_positive("OMOKAGE_THREADS", THREADS)
        except UserError as error:
            self.refuse(error)

    @property
    def logs(self) -> Path:
        """The folder of the stages' logs, a separate one for each experiment."""
        return log_folder(self.root)

    def refuse(self, message: object) -> NoReturn:
        """Raise UserError with `message`; also print it if DVC runs a single stage, since Snakemake is then quiet."""
        if self.single_stage:
            print(f"omokage: {message}", file=sys.stderr)
        raise UserError(f"omokage: {message}")

    def read_number(self, key: str) -> int:
        """Return the whole number under `key` in the configuration; raise UserError if it is below the minimum."""
        default, minimum = NUMBERS[key]
        value = self.config.get(key, default)
        if key in self.config and (not str(value).isdecimal() or int(value) < minimum):
            self.refuse(f"{key} = {value!r}: expected a whole number of at least {minimum}")
        return int(value)

    def check_rule_names(self, names: Iterable[str], split: Iterable[str]) -> None:
        """Raise UserError if a profile sets threads or resources of a rule that does not exist.

        `split` are the stages that have a second rule, for their parts. Snakemake ignores unknown rules.
        """
        rules = [*self.stages, *(f"{stage}_part" for stage in split)]
        for name in names:
            if name not in rules:
                self.refuse(f"set-resources or set-threads has the unknown rule {name}: {_suggest(name, rules)}")

    def decide(self) -> None:
        """Decide which stages must run, and write their triggers; before jobs run, prepare for them.

        Jobs run only if the options say so: then first wait for SLURM jobs of an earlier run.
        """
        runs_jobs = self.is_main and self.options.runs_jobs
        has_waited = runs_jobs and slurm.wait_for_jobs(self.root, self.names)
        if self.single_stage is None:
            self.stale = self._find_stale()
            self.to_run = set(self.stale)
        elif has_waited and self.single_stage not in self._find_stale():
            print(f"omokage: {self.single_stage}: the results of the earlier run fit and are used", file=sys.stderr)
        else:
            self.to_run = {self.single_stage}
        if runs_jobs:
            self._remove_leftovers()
        if self.is_main:
            rule_files.write_triggers(self.root, [self.stages[name] for name in self.names], self.to_run)

    def _find_stale(self) -> dict[str, list[str]]:
        try:
            values = load_yaml(self.root / "params.yaml")
            check_params(values)
            return find_stale(self.root, values)
        except (UserError, OSError) as error:
            self.refuse(error)

    def part_markers(self, stage: str) -> list[str]:
        """Return the marker files of the jobs into which a stage is split; empty if the stage is one job.

        These jobs write to the run's work folder, from which the stage's own job collects their results.
        """
        count = self.read_number(f"{stage}_jobs")
        return [f".snakemake/parts/{stage}-{part}-of-{count}" for part in range(count) if count > 1]

    def find_inputs(self, stage: str) -> list[str]:
        """Return the files that `stage` reads and other stages write.

        Snakemake would run an up-to-date stage because one before it runs. That stage can only be `params`, whose
        output is a constant, so this input is left out.
        """
        inputs = rule_files.find_inputs(self.stages, stage)
        return [path for path, maker in inputs.items() if self.may_run(stage) or maker not in self.to_run]

    def may_run(self, stage: str) -> bool:
        """Return whether a stage must run, or is downstream of a stage that `--forcerun` names."""
        forced = {name for name in self.names if {name, *self.find_outputs(name)} & self.options.forcerun}
        return stage in self.to_run or stage in find_with_downstream(self.stages, forced)

    def find_outputs(self, stage: str) -> list[str]:
        """Return the files by which Snakemake knows the outputs of a stage."""
        return [rule_files.find_file(out) for out in self.stages[stage].outs]

    def clamp_times(self) -> None:
        """Set the times of files of the stages to run that lie in the future to now."""
        rule_files.clamp_times(self.root, [self.stages[name] for name in self.to_run])

    def _remove_leftovers(self) -> None:
        """Remove what earlier runs left: markers of parts and unfinished stages, and logs of the stage to run."""
        shutil.rmtree(self.root / ".snakemake" / "parts", ignore_errors=True)
        # Snakemake would rerun any stage that failed before, even if its outputs are now up to date. The folder itself
        # stays: without it, Snakemake believes that an old version wrote its other files.
        for path in (self.root / ".snakemake" / "incomplete").glob("*"):
            remove(path)
        for path in self.find_logs(self.single_stage) if self.single_stage and self.to_run else ():
            path.unlink(missing_ok=True)

    def find_logs(self, stage: str) -> list[Path]:
        """Return the existing logs of a stage and of the jobs into which it is split."""
        patterns = (f"{stage}.log", f"{stage}-*-of-*.log")
        return [path for pattern in patterns for path in sorted(self.logs.glob(pattern))]

    def print_logs(self, is_remote: Callable[[str], bool]) -> None:
        """Print the last lines of the logs of the stage that DVC runs, if its jobs run on other nodes."""
        if self.single_stage and is_remote(self.single_stage):
            for path in self.find_logs(self.single_stage):
                if lines := path.read_text(encoding="utf-8", errors="replace").splitlines():
                    print(f"{path}:", *lines[-LOG_LINES:], sep="\n", file=sys.stderr)


def _suggest(name: object, known: Iterable[str]) -> str:
    """Return the part of a message that tells which name was probably meant, or else which are known."""
    similar = difflib.get_close_matches(str(name), known, n=1)
    return f"did you mean {similar[0]}?" if similar else f"expected one of {', '.join(known)}"
