"""Apply the code blocks of CONTRIBUTING.md to a clone, so that the page and its tests cannot differ."""

import re
from dataclasses import dataclass

from support.clone import ROOT, Clone

PAGE = ROOT / "CONTRIBUTING.md"
# A sentence that names a file and ends with a colon, and then a block: the content of a new file, or lines to change.
BLOCK = re.compile(
    r"^(?:Create|In) `(?P<path>[^`]+)`[^\n]*(?:\n[^\n]+)*:\n\n```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


@dataclass(frozen=True)
class Edit:
    """One edit of a recipe: the new content of the file `path`, or pairs (old lines, new lines) to replace in it."""

    path: str
    content: str
    changes: list[tuple[str, str]]


def read_recipe(heading: str) -> list[Edit]:
    """Return the edits under a heading of CONTRIBUTING.md."""
    sections = re.split(r"^## (.+)\n", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    text = dict(zip(sections[1::2], sections[2::2], strict=True))[heading]
    edits = []
    for block in BLOCK.finditer(text):
        is_diff = block["kind"] == "diff"
        changes = [_parse_change(part) for part in block["text"].split("@@\n")] if is_diff else []
        edits.append(Edit(block["path"], "" if is_diff else block["text"], changes))
    assert len(edits) == text.count("```diff") + text.count("```python"), "a block does not name its file"
    return edits


def _parse_change(part: str) -> tuple[str, str]:
    """Return the lines before and after a change: all without those that start with +, and all without those with -."""
    lines = part.splitlines(keepends=True)
    assert all(line[0] in " +-\n" for line in lines), part
    before, after = ([line for line in lines if not line.startswith(sign)] for sign in "+-")
    return "".join(line[1:] or line for line in before), "".join(line[1:] or line for line in after)


def apply_recipe(clone: Clone, heading: str) -> set[str]:
    """Make the edits under a heading in the clone, and return the paths of the files."""
    edits = read_recipe(heading)
    for edit in edits:
        path = clone.root / edit.path
        if not edit.changes:
            assert not path.exists(), edit.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(edit.content, encoding="utf-8")
        for before, after in edit.changes:
            text = path.read_text(encoding="utf-8")
            assert text.count(before) == 1, f"{edit.path}: CONTRIBUTING.md expects once:\n{before}"
            path.write_text(text.replace(before, after), encoding="utf-8")
    return {edit.path for edit in edits}
