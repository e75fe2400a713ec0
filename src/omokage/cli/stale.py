"""`omokage stale`: list the outputs that no longer match the parameters, data and code."""

from typing import Any

from omokage.cli.checkout import find_checkout
from omokage.config.params_file import check_params
from omokage.config.yaml_file import load_yaml
from omokage.pipeline import graph
from omokage.pipeline.stale import find_stale

DESCRIPTION = """\
List the outputs that no longer match the parameters, data, code and packages, with every reason. Exit code 1 if there
are any. Only run records are compared, and no large files are read. `omokage audit` checks the files themselves."""


def add_parser(commands: Any) -> None:
    """Add this command to the parser."""
    parser = commands.add_parser(
        "stale", help="list the outputs that no longer match the parameters, data and code", description=DESCRIPTION
    )
    parser.set_defaults(run=run)


def run(arguments: Any) -> int:
    """Print the stale stages, the reasons, and the outputs of these stages. Return the exit code."""
    root = find_checkout()
    values = load_yaml(root / "params.yaml")
    check_params(values)
    stages, reasons_by_stage = graph.read_stages(root), find_stale(root, values)
    for name, reasons in reasons_by_stage.items():
        for reason in reasons:
            print(f"{name}: {reason}")
        for out in stages[name].outs:
            print(f"  {out}")
    if not reasons_by_stage:
        print("all outputs match the parameters, data and code")
    return int(bool(reasons_by_stage))
