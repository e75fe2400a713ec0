"""docs/architecture.md and its diagrams name the real stages, folders and files."""

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.clone import ROOT
from support.runs import STAGES

SVG = "{http://www.w3.org/2000/svg}"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DIAGRAMS = sorted({*(ROOT / "docs" / "images").glob("*.svg")} - {ROOT / "docs" / "images" / "logo.svg"})
PACKAGE = ROOT / "src" / "omokage"


def read_names(diagram: str) -> list[str]:
    """Return the texts of a diagram in the code font, in order."""
    root = ElementTree.parse(ROOT / "docs" / "images" / f"{diagram}.svg").getroot()
    return [text.text or "" for text in root.iter(f"{SVG}text") if text.get("class") == "code"]


def find_missing(paths: Iterable[str]) -> list[str]:
    """Return the paths that are neither in the checkout nor below src/omokage."""
    return [path for path in paths if not (ROOT / path).exists() and not (PACKAGE / path).exists()]


def test_the_layers_of_the_folders_are_those_of_the_import_contract() -> None:
    (contract,) = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    assert read_names("folders") == contract["layers"]


def test_folders_are_coloured_as_part_of_a_cache_key_if_a_stage_lists_them() -> None:
    root = ElementTree.parse(ROOT / "docs" / "images" / "folders.svg").getroot()
    colours = [box.get("class") for box in root.iter(f"{SVG}rect") if box.get("class") != "page"][2:]
    listed = {Path(dep).parts[2] for stage in STAGES.values() for dep in stage.code}
    layers = [set(name.split(" | ")) for name in read_names("folders")]
    assert colours == ["key" if layer & listed else "box" for layer in layers]


def test_the_diagram_of_the_stages_has_every_stage() -> None:
    assert sorted(read_names("stages")) == sorted(STAGES)


def test_the_diagram_of_the_chain_names_files_of_the_table_in_its_order() -> None:
    shown = [name.partition(",")[0] for name in read_names("training-chain") if not re.match("dvc|sh ", name)]
    assert find_missing(shown) == []
    rows = re.findall(r"^\| \[(.+?)\]\(", PAGE, flags=re.MULTILINE)
    assert [row for row in rows if row in shown] == shown


def test_every_file_and_folder_on_the_page_exists() -> None:
    spans = [span for span in re.findall(r"`([\w./-]+)`", PAGE) if "/" in span and not re.search("STAGE|NAME", span)]
    made = {path for path in spans if path.startswith((".dvc/tmp", ".snakemake"))}
    assert len(spans) > 20
    assert find_missing(set(spans) - made) == []


@pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.stem)
def test_a_diagram_has_a_title_and_dark_colours_and_is_narrow(path: Path) -> None:
    root = ElementTree.parse(path).getroot()
    assert root.findtext(f"{SVG}title")
    assert "prefers-color-scheme: dark" in path.read_text(encoding="utf-8")
    # At 390 pixels a page leaves 358 for the diagram, so its 14 px font is still about 11 px high.
    assert float(root.get("viewBox", "").split()[2]) <= 450
