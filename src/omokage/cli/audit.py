"""`omokage audit`: check all results against dvc.lock and the run records."""

import json
from collections import Counter
from typing import Any

from omokage.cli.checkout import describe_absent, find_checkout
from omokage.provenance.audit import audit_outputs

DESCRIPTION = """\
Check every output against its hash in dvc.lock, dvc.lock against the run records, and the metadata and pixels of every
figure and report against the records, or against dvc.lock and each other in a checkout without records. Reads all data
and results. Outputs that only DVC's cache or remote has are not checked: `dvc pull` fetches them. Exit code 0 if every
check passed, 1 if a file differs, is missing although git tracks it, or is not an output of any stage, 2 after an
error."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "audit",
        help="check all results against dvc.lock and the run records",
        description=DESCRIPTION,
        examples=["omokage audit"],
    )
    parser.add_argument("--all", action="store_true", help="also list what passes the checks")
    parser.add_argument("--json", action="store_true", help="print JSON, with every check")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the outputs that fail a check or were not checked, and the counts. Return the exit code."""
    findings = list(audit_outputs(find_checkout()))
    counts = Counter(finding.passed for finding in findings)
    if arguments.json:
        totals = {"passed": counts[True], "failed": counts[False], "not_checked": counts[None]}
        print(json.dumps({**totals, "findings": [vars(finding) for finding in findings]}, indent=1))
        return int(counts[False] > 0)
    for finding in findings:
        if finding.passed is False or (finding.passed and arguments.all):
            print(f"{finding.path} {finding.message}")
    if absent := [finding.path for finding in findings if finding.passed is None]:
        print(f"not checked, because {describe_absent(absent)}")
    print(f"{counts[True]} passed, {counts[False]} failed, {counts[None]} not checked")
    return int(counts[False] > 0)
