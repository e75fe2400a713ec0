"""The command of every stage in dvc.yaml: start Snakemake for one stage and, if it fails, print the cause.

python -m omokage.pipeline.launch STAGE (see workflow/stage)

Snakemake runs in this process, so signals reach it and its jobs as if DVC had started it. It is quiet, because the
stages print their own errors. Its own errors are collected here and printed at the end.
"""

import contextlib
import importlib
import importlib.util
import io
import logging
import os
import re
import sys
from pathlib import Path
from types import ModuleType

from omokage.base.checkout import work_folder
from omokage.base.errors import UserError

MAX_LINES = 3  # of each cause
# Said of every failed job, next to the record of the job itself.
SUMMARY = re.compile(r"(Exiting because a job execution failed|At least one job did not complete|Exception in run_job)")
# How a job on this machine ended. Its exit code adds nothing to what it has printed, unless a signal ended it.
EXIT = re.compile(r"Command '.*' (?:died with <Signals\.(\w+): \d+>|returned non-zero exit status \d+)\.", re.DOTALL)
# What Snakemake writes around a message.
FRAME = re.compile(r"\s*(Error:|Wildcards:|Traceback:|Traceback \(.*|File \".*|\(rule .*\))")
HINT = re.compile(r"\s*For further error details see the cluster/cloud log.*")
KILLED = {"SIGKILL": "the system does this when memory runs out", "SIGBUS": "the disk may be full"}


class ErrorCollector(logging.Handler):
    """A log handler that collects the causes of Snakemake's errors, each once, in `causes`."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.causes: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Add the cause that the record names, if any."""
        # Of a failed job, only the executor's message counts, for example what sbatch has answered.
        is_job = str(getattr(record, "event", "")) in ("job_error", "group_error")
        self.add(str(getattr(record, "rule_msg", None) or "") if is_job else record.getMessage())

    def add(self, text: str) -> None:
        """Add the cause in an error message, if any."""
        cause = extract_cause(text)
        if cause and cause not in self.causes:
            self.causes.append(cause)


def extract_cause(text: str) -> str:
    """Return the lines of an error message of Snakemake that name the cause; "" if it was printed before."""
    # The Snakefile prints its own refusals.
    if SUMMARY.search(text) or "omokage: " in text:
        return ""
    if ended := EXIT.search(text):
        signal = ended[1]
        return f"a job was killed by {signal} ({KILLED.get(signal, 'not by itself')})" if signal else ""
    lines = [line for line in HINT.sub("", text).splitlines() if line.strip()]
    if lines and lines[0].startswith("Traceback "):
        lines = lines[-1:]
    return "\n".join([line.strip() for line in lines if not FRAME.fullmatch(line)][:MAX_LINES])


def log_folder(root: Path) -> Path:
    """Return the folder of the stages' logs, a separate one for each experiment."""
    return work_folder(root) / "logs" / os.environ.get("DVC_EXP_NAME", "workspace")


def main() -> int:
    """Run the stage named on the command line; return 0 if it succeeds, otherwise 1."""
    (stage,) = sys.argv[1:]
    root = Path.cwd()
    collector = ErrorCollector()
    logging.getLogger("snakemake").addHandler(collector)
    _provide_cache_folder(root)
    if run_snakemake(stage, work_folder(root) / "logs" / "slurm", collector):
        return 0
    _report(stage, collector.causes, log_folder(root) / f"{stage}.log")
    return 1


def run_snakemake(stage: str, slurm_logs: Path, collector: ErrorCollector) -> bool:
    """Run Snakemake for one stage and return whether it succeeded."""
    options = ["--quiet", "all", "--config", f"stage={stage}"]
    try:
        cli = importlib.import_module("snakemake.cli")
    except Exception as error:
        collector.add(f"Snakemake cannot be loaded by {sys.executable} ({error}): run `make install`")
        return False
    if importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        # SLURM's logs must outlive a temporary experiment.
        options += ["--slurm-logdir", str(slurm_logs)]
    try:
        parser, arguments = _parse(cli, options)
        return bool(cli.args_to_api(arguments, parser))
    except UserError as error:
        collector.add(str(error))
    except Exception as error:
        cli.print_exception(error)
    return False


def _parse(cli: ModuleType, options: list[str]) -> tuple[object, object]:
    """Return Snakemake's parser and arguments; raise UserError without Snakemake's usage text, which is two pages."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            return cli.parse_args(options)
    except (Exception, SystemExit) as error:
        message = re.split(r"error: ", printed.getvalue(), maxsplit=1, flags=re.IGNORECASE)[-1]
        profiles = ["workflow/profiles/default", *filter(None, [os.environ.get("SNAKEMAKE_PROFILE")])]
        reason = message if isinstance(error, SystemExit) else error
        raise UserError(f"Snakemake cannot use {' and '.join(profiles)}: {reason}") from error


def _provide_cache_folder(root: Path) -> None:
    """Let caches lie in the checkout if the user's folder for them cannot be written to: Snakemake needs one."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "snakemake")
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        os.environ["XDG_CACHE_HOME"] = str(work_folder(root) / "cache")


def _report(stage: str, causes: list[str], log: Path) -> None:
    """Print the causes of a failure, and add them to the stage's log."""
    text = "".join(f"omokage: {stage}: {cause}\n" for cause in causes)
    print(text, end="", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
