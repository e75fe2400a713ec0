"""`omokage audit`: whether all results are what dvc.lock says."""

from collections import Counter
from typing import Any

from omokage.audit import findings
from omokage.commands import checkout

MANUAL = """\
Hold every file of results and data against dvc.lock, dvc.lock against itself and the records, and the stamp and pixels
of every figure and report against the records. Reads everything. Exit code 1 if something differs, is lost or is no
stage's; what only a `dvc pull` would bring is named."""


def add(commands: Any) -> None:
    """Tell the parser of this command."""
    parser = commands.add_parser("audit", help="prove that all results are what dvc.lock says", description=MANUAL)
    parser.add_argument("--all", action="store_true", help="name what is proven as well")
    parser.set_defaults(run=run)


def run(chosen: Any) -> int:
    """Print what cannot be proven of the results, and a count."""
    found = list(findings(checkout()))
    for finding in found:
        if chosen.all or not finding.proven:
            print(f"{finding.path} {finding.says}")
    counts = Counter(finding.proven for finding in found)
    print(f"{counts[True]} proven, {counts[False]} wrong, {counts[None]} not here")
    return int(counts[False] > 0)
