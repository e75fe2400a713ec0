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
from omokage.pipeline.memory_remedies import describe_remedy, is_memory_cause
from omokage.pipeline.snakemake_errors import ErrorCollector


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
        remedy = ": run `make install`" if isinstance(error, ImportError) else ""
        collector.add(f"{sys.executable} cannot load Snakemake ({error}){remedy}")
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
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "snakemake")
        folder.mkdir(parents=True, exist_ok=True)
        is_writable = os.access(folder, os.W_OK)
    except (OSError, RuntimeError):  # RuntimeError: the user has no home folder
        is_writable = False
    if not is_writable:
        os.environ["XDG_CACHE_HOME"] = str(work_folder(root) / "cache")


def _report(stage: str, causes: list[str], log: Path) -> None:
    """Print the causes of a failure, and add them to the stage's log."""
    described = [f"{cause}: {describe_remedy(stage)}" if is_memory_cause(cause) else cause for cause in causes]
    text = "".join(f"omokage: {stage}: {cause}\n" for cause in described)
    print(text, end="", file=sys.stderr, flush=True)
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


if __name__ == "__main__":
    sys.exit(main())
