"""The Snakefile's logic: read the configuration, find the stages that must run, and manage marker files and logs.

Snakemake sees one marker file per stage. The marker exists only while the stage's outputs match the parameters, code
and inputs. Hashes decide this (`pipeline.stale`), not modification times, which mean nothing after `dvc checkout`.
"""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from omokage.base.checkout import work_folder
from omokage.base.environment import read_positive
from omokage.base.errors import UserError
from omokage.config.params_file import check_params
from omokage.config.yaml_file import load_yaml
from omokage.pipeline import slurm
from omokage.pipeline.graph import Stage, find_upstream, read_stages
from omokage.pipeline.stale import find_stale

# CPU threads of each stage. The number changes the last bits of sums, so all profiles use the same; OMOKAGE_THREADS
# overrides it.
THREADS = 2
LOG_LINES = 20  # number of lines, from the end of a log, that `print_logs` prints


@dataclass
class Workflow:
    """The pipeline as one run of Snakemake sees it: all stages, or the one named by `--config stage=NAME`.

    `config` is Snakemake's configuration. `is_main` is false in the processes that Snakemake starts for single jobs.
    `decide` sets `to_run`, the stages to run, and `stale`, the reasons by stage.
    """

    root: Path
    config: Mapping[str, Any]
    is_main: bool
    stages: dict[str, Stage] = field(init=False)
    to_run: set[str] = field(init=False, default_factory=set)
    stale: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.stages = read_stages(self.root)
        if self.single_stage and self.single_stage not in self.stages:
            self.refuse(f"stage = {self.single_stage!r}: expected one of {', '.join(self.stages)}")
        if set("{}") & set(str(self.logs)):
            self.refuse(f"{self.logs}: expected a path without braces, which Snakemake takes for wildcards")

    @property
    def single_stage(self) -> str | None:
        """The stage named by `--config stage=NAME`, as DVC passes it, or None if all stages take part."""
        return self.config.get("stage")

    @property
    def names(self) -> list[str]:
        """The stages that get a rule: only the stage that DVC runs if DVC started Snakemake, otherwise all stages."""
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
        return work_folder(self.root) / "logs" / os.environ.get("DVC_EXP_NAME", "workspace")

    def refuse(self, message: object) -> NoReturn:
        """Raise UserError with `message`; also print it if DVC runs a single stage, since Snakemake is then quiet."""
        if self.single_stage:
            print(f"omokage: {message}", file=sys.stderr)
        raise UserError(f"omokage: {message}")

    def read_number(self, key: str, default: int = 1, minimum: int = 1) -> int:
        """Return the whole number under `key` in the configuration; raise UserError unless it is at least `minimum`."""
        value = self.config.get(key, default)
        if not str(value).isdecimal() or int(value) < minimum:
            self.refuse(f"{key} = {value!r}: expected a whole number of at least {minimum}")
        return int(value)

    def check_cores(self, cores: int | None) -> None:
        """Raise UserError if Snakemake may use fewer cores than a stage has threads."""
        if cores is not None and cores < self.threads:
            self.refuse(
                f"--cores {cores}: expected at least {self.threads}, since fewer threads change the last bits of sums"
            )

    def decide(self, dry_run: bool) -> None:
        """Decide which stages must run. Unless this is a dry run, first wait for SLURM jobs of an earlier run."""
        has_waited = self.is_main and not dry_run and slurm.wait_for_jobs(self.root, self.names)
        if self.single_stage is None:
            self.stale = self._find_stale()
            self.to_run = set(self.stale)
        elif has_waited and self.single_stage not in self._find_stale():
            print(f"omokage: {self.single_stage}: the results of the earlier run fit and are used", file=sys.stderr)
        else:
            self.to_run = {self.single_stage}

    def _find_stale(self) -> dict[str, list[str]]:
        try:
            values = load_yaml(self.root / "params.yaml")
            check_params(values)
            return find_stale(self.root, values)
        except (UserError, OSError) as error:
            self.refuse(error)

    def marker(self, stage: str) -> str:
        """Return the path of a stage's marker file, which stands for all outputs of the stage in Snakemake's graph."""
        return f".snakemake/done/{stage}"

    def part_markers(self, stage: str) -> list[str]:
        """Return the marker files of the jobs into which a stage is split; empty if the stage is one job.

        These jobs write to the run's work folder, from which the stage's own job collects their results.
        """
        count = self.read_number(f"{stage}_jobs")
        return [f".snakemake/parts/{stage}-{part}-of-{count}" for part in range(count) if count > 1]

    def find_inputs(self, stage: str) -> list[str]:
        """Return the marker files of the stages that `stage` depends on; empty if DVC runs this stage alone."""
        upstream = [] if self.single_stage else find_upstream(self.stages, stage)
        if stage not in self.stale:
            # Snakemake would rerun the stage because `params` runs, although the output of `params` is a constant.
            upstream = [name for name in upstream if name not in self.stale]
        return [self.marker(name) for name in upstream]

    def write_markers(self) -> None:
        """Create the markers of stages that need not run; remove the other markers and leftovers of earlier runs."""
        shutil.rmtree(self.root / ".snakemake" / "parts", ignore_errors=True)
        # Snakemake would rerun any stage that failed before, even if its outputs are now up to date.
        shutil.rmtree(self.root / ".snakemake" / "incomplete", ignore_errors=True)
        for name in self.stages:
            marker = self.root / self.marker(name)
            marker.parent.mkdir(parents=True, exist_ok=True)
            if name in self.to_run:
                marker.unlink(missing_ok=True)
            else:
                marker.touch()
                os.utime(marker, (1, 1))
        if self.single_stage and self.to_run:
            for path in self.find_logs(self.single_stage):
                path.unlink(missing_ok=True)

    def find_logs(self, stage: str) -> list[Path]:
        """Return the existing logs of a stage and of the jobs into which it is split."""
        patterns = (f"{stage}.log", f"{stage}-*-of-*.log")
        return [path for pattern in patterns for path in sorted(self.logs.glob(pattern))]

    def print_logs(self, is_remote: Callable[[str], bool]) -> None:
        """Print the last lines of the logs of the stage that DVC runs, if its jobs run on other nodes."""
        if self.single_stage and is_remote(self.single_stage):
            for path in self.find_logs(self.single_stage):
                print(f"{path}:", *path.read_text().splitlines()[-LOG_LINES:], sep="\n", file=sys.stderr)
