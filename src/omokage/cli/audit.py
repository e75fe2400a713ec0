"""`omokage audit`: check all results against dvc.lock and the run records."""

from collections import Counter
from typing import Any

from omokage.cli.checkout import find_checkout
from omokage.provenance.audit import audit_outputs

DESCRIPTION = """\
Check every output against its hash in dvc.lock, dvc.lock against the run records, and the metadata and pixels of every
figure and report against the records. Reads all data and results. Exit code 1 if a file differs, is missing although
git tracks it, or is not an output of any stage. Other missing outputs are listed: `dvc pull` fetches them."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "audit", help="check all results against dvc.lock and the run records", description=DESCRIPTION
    )
    parser.add_argument("--all", action="store_true", help="also list what passes the checks")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the outputs that fail a check or were not checked, and the counts. Return the exit code."""
    findings = list(audit_outputs(find_checkout()))
    for finding in findings:
        if arguments.all or not finding.passed:
            print(f"{finding.path} {finding.message}")
    counts = Counter(finding.passed for finding in findings)
    print(f"{counts[True]} passed, {counts[False]} failed, {counts[None]} not checked")
    return int(counts[False] > 0)
