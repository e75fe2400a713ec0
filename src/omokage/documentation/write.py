"""Write the reference pages that follow from the code (`make deps`).

python -m omokage.documentation.write
"""

from pathlib import Path

from omokage.base.files import write_text
from omokage.config.presets import read_presets
from omokage.documentation.command_line import render_command_line
from omokage.documentation.parameters import render_parameters
from omokage.documentation.reruns import render_reruns
from omokage.pipeline.graph import read_stages
from omokage.pipeline.reruns import find_reruns


def render_pages(root: Path) -> dict[str, str]:
    """Return the text of every generated page of a checkout, by path."""
    stages = read_stages(root)
    return {
        "docs/reference/parameters.md": render_parameters(find_reruns(stages), read_presets(root)),
        "docs/reference/reruns.md": render_reruns(stages),
        "docs/reference/command-line.md": render_command_line(),
    }


def write_pages(root: Path) -> None:
    """Write the generated pages of a checkout."""
    for path, text in render_pages(root).items():
        write_text(root / path, text)


if __name__ == "__main__":
    write_pages(Path.cwd())
