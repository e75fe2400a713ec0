"""Check the names in the user's folder before DVC reads it. `make` starts with this check.

python -m omokage.cli.folder_check

The stage `params` checks them as well, but DVC skips it if only the folder has changed.
"""

import sys
from pathlib import Path

from omokage.base.errors import UserError
from omokage.config.yaml_file import load_yaml
from omokage.data.sources.folder_names import check_names


def check_folder(root: Path) -> None:
    """Raise UserError if `folder` of params.yaml holds a name that is not UTF-8, or params.yaml cannot be read."""
    parameter = load_yaml(root / "params.yaml").get("folder")
    if isinstance(parameter, str):  # other values are refused by the stage `params`
        check_names(root / parameter, parameter)


if __name__ == "__main__":
    try:
        check_folder(Path.cwd())
    except UserError as error:
        sys.exit(f"omokage: {error}")
