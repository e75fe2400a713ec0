"""Read Snakemake's own command line, since Snakemake does not tell the Snakefile what it was asked for."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from snakemake.cli import get_argument_parser

# The options with which Snakemake answers a question, or removes files, and runs no job.
QUERIES = (
    "dryrun",
    "lint",
    "list_rules",
    "list_target_rules",
    "print_compilation",
    "dag",
    "rulegraph",
    "filegraph",
    "d3dag",
    "summary",
    "detailed_summary",
    "archive",
    "report",
    "generate_unit_tests",
    "containerize",
    "unlock",
    "cleanup_metadata",
    "list_changes",
    "list_input_changes",
    "list_params_changes",
    "list_untracked",
    "delete_all_output",
    "delete_temp_output",
)


@dataclass(frozen=True)
class Options:
    """What the user asked Snakemake for.

    These are to run jobs, to mark files as up to date (`--touch`), to pack an archive, and to run certain rules, or the
    rules of certain files, whether or not they are up to date (`--forcerun`).
    """

    runs_jobs: bool = True
    touch: bool = False
    archive: bool = False
    forcerun: frozenset[str] = frozenset()


def read_options(command_line: Sequence[str] = sys.argv) -> Options:
    """Return the options in the command line of this process; the defaults if this is not Snakemake's command."""
    if "snakemake" not in Path(command_line[0]).parts[-2:]:
        return Options()
    options, _ = get_argument_parser().parse_known_args(command_line[1:])
    is_query = any(getattr(options, name, None) not in (None, False) for name in QUERIES)
    return Options(
        runs_jobs=not is_query,
        touch=options.touch,
        archive=options.archive is not None,
        forcerun=frozenset(options.forcerun or ()),
    )
