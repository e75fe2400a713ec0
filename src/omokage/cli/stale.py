"""`omokage stale`: list the outputs that no longer match the parameters, data and code."""

import json
from typing import Any

from omokage.cli.checkout import describe_absent, find_checkout
from omokage.config.params_file import check_params
from omokage.config.yaml_file import load_yaml
from omokage.pipeline import graph
from omokage.pipeline.stale import find_absent, find_stale

DESCRIPTION = """\
List the outputs that no longer match the parameters, data, code and packages, with every reason. Only run records and
dvc.lock are compared, and no large files are read. `omokage audit` checks the files themselves. Outputs that only DVC's
cache or remote has count as up to date: `dvc pull` fetches them. Exit code 0 if all outputs match, 1 if some do not, 2
after an error."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "stale",
        help="list the outputs that no longer match the parameters, data and code",
        description=DESCRIPTION,
        examples=["omokage stale"],
    )
    parser.add_argument("--json", action="store_true", help="print JSON: the reasons and outputs of each stale stage")
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the stale stages, the reasons, and the outputs of these stages. Return the exit code."""
    root = find_checkout()
    values = load_yaml(root / "params.yaml")
    check_params(values)
    stages = graph.read_stages(root)
    stale = find_stale(root, values, missing_is_stale=False)
    absent = [out for name, stage in stages.items() if name not in stale for out in find_absent(root, stage)]
    if arguments.json:
        listed = {name: {"reasons": reasons, "outputs": stages[name].outs} for name, reasons in stale.items()}
        print(json.dumps({"stale": listed, "not_in_checkout": absent}, indent=1))
        return int(bool(stale))
    for name, reasons in stale.items():
        for reason in reasons:
            print(f"{name}: {reason}")
        for out in stages[name].outs:
            print(f"  {out}")
    if absent:
        print(describe_absent(absent))
    if not stale:
        print("all outputs match the parameters, data and code")
    return int(bool(stale))
