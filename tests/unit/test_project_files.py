"""The files about the project agree with it: citation, changelog, licences of others, and the settings of GitHub."""

import json
import os
import re
import shlex
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from support.clone import ROOT

from omokage.config.parameters import DESCRIPTIONS
from omokage.config.renamed import PARAMETERS, STAGES
from omokage.config.yaml_file import load_yaml
from omokage.data.sources.styles import STYLES_FOLDER

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# The fields of the Citation File Format 1.2.0 at the top level, and those that it requires.
CITATION_FIELDS = {
    *("abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords"),
    *("license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact"),
    *("repository-code", "title", "type", "url", "version"),
}
REQUIRED_FIELDS = {"authors", "cff-version", "message", "title"}
LICENCES = {"MIT": "MIT License", "Apache 2.0": "Apache"}
YAML_FILES = [*sorted((ROOT / ".github").rglob("*.yml")), ROOT / ".pre-commit-config.yaml"]


def read_table(page: str, first_column: str) -> list[list[str]]:
    """Return the cells of the table in a Markdown page whose heading begins with `first_column`, without links."""
    _, _, rest = (ROOT / page).read_text(encoding="utf-8").partition(f"| {first_column} |")
    rows = rest.split("\n\n")[0].splitlines()[2:]
    return [
        [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell).strip(" `") for cell in row.split("|")[1:-1]] for row in rows
    ]


def test_the_citation_is_valid_and_of_this_version() -> None:
    citation = load_yaml(ROOT / "CITATION.cff")
    assert citation.keys() >= REQUIRED_FIELDS and not citation.keys() - CITATION_FIELDS
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["version"] == PROJECT["version"] and citation["license"] == PROJECT["license"]
    assert citation["abstract"] == PROJECT["description"]
    for entry in (citation, *citation["references"]):
        assert {"authors", "title"} <= entry.keys()
        assert all("name" in author or {"family-names", "given-names"} <= author.keys() for author in entry["authors"])
    assert all("type" in reference for reference in citation["references"])


def test_the_changelog_begins_with_this_version_and_lists_every_renamed_parameter() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[([\d.]+)\] - (?:unreleased|\d{4}-\d\d-\d\d)$", changelog, re.M)[0] == PROJECT["version"]
    assert dict(read_table("CHANGELOG.md", "0.1.0")) == PARAMETERS
    assert all(f"`{old}` is now `{new}`" in changelog for old, new in STAGES.items())


def test_the_licences_of_others_are_those_of_the_installed_packages() -> None:
    needed = {re.split(r"[=<>\[]", name)[0] for name in PROJECT["dependencies"]}
    packages = read_table("THIRD_PARTY.md", "package")
    assert len(packages) >= 6
    for package, _, licence, folder in packages:
        assert package in needed and (ROOT / folder).is_dir()
        texts = [file.read_text() for file in distribution(package).files or [] if "LICENSE" in file.name]
        text = " ".join(" ".join(texts).split()).lower()
        assert LICENCES[licence.partition(";")[0]].lower() in text, package


def test_the_licences_of_the_avatar_styles_are_those_of_their_definitions() -> None:
    styles = read_table("THIRD_PARTY.md", "style")
    named = set(re.findall(r"[a-z-]+", DESCRIPTIONS["avatar_styles"].meaning))
    assert {*DESCRIPTIONS["avatar_styles"].default} <= {style for style, *_ in styles} <= named
    for style, author, licence in styles:
        meta = json.loads((STYLES_FOLDER / f"{style}.json").read_text(encoding="utf-8"))["meta"]
        assert (author, licence) == (meta["creator"]["name"], meta["license"]["name"])


def check_command(command: str) -> None:
    """Fail unless the command is a file of the checkout, a tool of .venv, a target of the Makefile, or git."""
    program, *arguments = shlex.split(command)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert {*arguments} <= {*targets}, command
    elif program.startswith(".venv/bin/"):
        tool = Path(program).name
        assert {tool} & {re.split(r"[=<>\[]", name)[0] for name in PROJECT["optional-dependencies"]["dev"]}, command
    elif program != "git":
        assert os.access(ROOT / program, os.X_OK), command


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_every_command_in_the_settings_of_github_and_pre_commit_exists(path: Path) -> None:
    content = load_yaml(path)
    steps = [step for job in content.get("jobs", {}).values() for step in job["steps"]]
    hooks = [hook for repository in content.get("repos", []) for hook in repository["hooks"]]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in steps if "uses" in step)
    assert all(repository["repo"] == "local" for repository in content.get("repos", []))
    for command in [step["run"] for step in steps if "run" in step] + [hook["entry"] for hook in hooks]:
        check_command(command)
    if path.parent.name == "ISSUE_TEMPLATE" and path.name != "config.yml":
        assert {"name", "description", "body"} <= content.keys()
        fields = [field for field in content["body"] if field["type"] != "markdown"]
        assert all({"id", "attributes"} <= field.keys() and field["attributes"]["label"] for field in fields)


def test_the_workflows_and_hooks_run_what_they_are_for() -> None:
    assert {path.name for path in YAML_FILES} >= {"ci.yml", "docs.yml", "bug.yml", "feature.yml"}
    (job,) = load_yaml(ROOT / ".github/workflows/ci.yml")["jobs"].values()
    assert job["steps"][-1]["run"] == ".ci/run" and job["container"].startswith("python:3.11-")
    (hooks,) = [repository["hooks"] for repository in load_yaml(ROOT / ".pre-commit-config.yaml")["repos"]]
    snakemake = re.compile(next(hook["files"] for hook in hooks if hook["id"] == "snakefmt"))
    files = ["Snakefile", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "workflow").rglob("*.smk"))]
    assert all(snakemake.search(file) for file in files) and not snakemake.search("src/omokage/base/files.py")
