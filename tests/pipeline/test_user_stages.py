"""Stages that a user adds to dvc.yaml: DVC runs them, and the project's own tools leave them alone."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import Clone, create_once, parse_stages_run
from support.images import write_random_images
from support.runs import STAGES

from omokage.base.errors import UserError
from omokage.pipeline.dvc_lock import parse_lock

# A plain stage, one with a matrix and one with foreach. They read results, and write next to results.
STAGES_OF_A_USER = """
  # Counts the faces of each split.
  count:
    cmd: python3 count.py
    params: [count.yaml: [column]]  # of another file than params.yaml
    deps:
      - count.py
      - data/curation.csv
    outs:
      - results/count.json: {cache: false}
      - results/counts
  resize:
    matrix: {side: [8, 16]}
    cmd: python3 -c "print(${item.side})" > results/side-${item.side}.txt
    deps: [results/samples.safetensors]
    outs:
      - results/side-${item.side}.txt
  list:
    foreach: [a, b]
    do:
      cmd:
        - mkdir -p lists
        - echo ${item} > lists/${item}.txt
      outs:
        - lists/${item}.txt
"""
SCRIPT = """\
import collections, csv, json, pathlib
rows = csv.DictReader(open("data/curation.csv"))
column = open("count.yaml").read().split()[1]
pathlib.Path("results/counts").mkdir(exist_ok=True)
for path in ("results/count.json", "results/counts/all.json"):
    json.dump(collections.Counter(row[column] for row in rows), open(path, "w"))
"""
NAMES = ["count", "resize@8", "resize@16", "list@a", "list@b"]


def add_stages(clone: Clone, text: str = STAGES_OF_A_USER) -> None:
    """Add stages of a user at the end of the stages of dvc.yaml."""
    path = clone.root / "dvc.yaml"
    before, artifacts, after = path.read_text().partition("\nartifacts:")
    path.write_text(f"{before}{text}{artifacts}{after}")


@pytest.fixture(scope="module")
def clone_with_stages(
    tmp_path_factory: pytest.TempPathFactory, finished_clone: Clone, bypass_snakemake: Callable[[Clone], Clone]
) -> Clone:
    """Return a clone in which a user's stages have run. Tests must change only copies."""

    def create(folder: Path) -> None:
        clone = bypass_snakemake(finished_clone.copy(folder))
        (clone.root / "count.py").write_text(SCRIPT)
        (clone.root / "count.yaml").write_text("column: reason\n")
        add_stages(clone)
        assert sorted(clone.repro()) == sorted(NAMES)
        clone.commit("stages of a user")

    return Clone(create_once(tmp_path_factory, "clone with stages of a user", create))


@pytest.fixture
def clone(clone_with_stages: Clone, preload: Callable[[Clone], Clone], tmp_path: Path) -> Clone:
    return preload(clone_with_stages.copy(tmp_path / "copy"))


def test_the_commands_leave_the_stages_of_a_user_alone(clone: Clone) -> None:
    assert clone.omokage("stale") == (0, "all outputs match the parameters, data and code\n")
    code, printed = clone.omokage("audit")
    assert code == 0 and " 0 failed" in printed
    code, printed = clone.omokage("plan")
    assert code == 0 and "nothing to run" in printed
    assert clone.omokage("why", "results/figures/loss.png")[0] == 0
    # dvc.lock also says what made a user's file.
    code, printed = clone.omokage("why", "results/count.json")
    assert code == 0 and "image_size" in printed
    code, printed = clone.omokage("compare", "workspace", "HEAD~1", "--out", "page.html")
    assert code == 0, printed
    assert clone.omokage("clean")[0] == 0
    code, printed = clone.omokage("compare", "workspace", "HEAD", "--out", "results/counts/page.html")
    assert code == 2 and "belongs to the pipeline (stage count in dvc.yaml)" in printed
    assert clone.dvc("status").stdout.strip() == "Data and pipelines are up to date."
    # A change makes stale what belongs to the project, and nothing else.
    clone.set_params(report_title="Another")
    assert json.loads(clone.omokage("stale", "--json")[1])["stale"].keys() == {"params", "report"}
    assert parse_stages_run(clone.dvc("repro").stdout) == ["params", "report"]


def test_the_audit_still_finds_what_no_stage_declares(clone: Clone) -> None:
    (clone.root / "results/stray.txt").touch()
    path = clone.root / "dvc.yaml"
    path.write_text(re.sub(r"\n  list:\n.*?(?=\nartifacts)", "", path.read_text(), flags=re.DOTALL))
    code, printed = clone.omokage("audit")
    assert code == 1 and " 3 failed" in printed
    for name in ("list@a", "list@b"):
        assert f"lists stage {name}, which dvc.yaml does not declare" in printed
    assert "results/stray.txt" in printed


def test_make_deps_keeps_the_stages_of_a_user_and_their_comments(clone: Clone) -> None:
    clone.run_deps()
    assert clone.run("git", "status", "--porcelain").stdout == ""
    # DVC's own command to add a stage rewrites dvc.yaml, and keeps the comments.
    clone.dvc("stage", "add", "-q", "-n", "more", "-d", "results/count.json", "-o", "more.txt", "echo more > more.txt")
    added = (clone.root / "dvc.yaml").read_text()
    clone.run_deps()
    text = (clone.root / "dvc.yaml").read_text()
    assert re.sub(r"\s+", " ", text) == re.sub(r"\s+", " ", added)
    assert "# Counts the faces of each split." in text and "# of another file than params.yaml" in text
    assert clone.repro() == ["more"]
    assert clone.omokage("stale")[0] == clone.omokage("audit")[0] == 0


@pytest.mark.long
def test_snakemake_ignores_the_stages_of_a_user(clone: Clone) -> None:
    for arguments in (["--dry-run"], ["--lint"], ["--dag"], ["--summary"]):
        done = clone.snakemake(*arguments)
        assert not {*NAMES, "count", "resize", "list"} & set(re.findall(r"[\w@]+", done.stdout)), arguments
    assert "Nothing to be done" in clone.snakemake("--dry-run").stdout
    listed = clone.snakemake("--list").stdout
    assert {line.split()[0] for line in listed.splitlines() if line.strip()} >= {"all", *STAGES}
    assert not re.search(r"^(count|resize|list)", listed, flags=re.MULTILINE)
    assert clone.snakemake().returncode == 0
    assert clone.dvc("status").stdout.strip() == "Data and pipelines are up to date."


@pytest.mark.long
def test_a_stage_of_a_user_can_make_the_images(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    add_stages(
        clone,
        "\n  frames:\n    cmd: mkdir -p frames && cp ../images/*.png frames\n    deps: [../images]\n"
        "    outs: [frames]\n",
    )
    # The stage params checks that the folder exists, so it must run later.
    path = clone.root / "dvc.yaml"
    heading = "    params: [params.yaml: ]\n    deps:\n"
    path.write_text(path.read_text().replace(heading, f"{heading}      - frames\n"))
    images = clone.root.parent / "images"
    write_random_images(images, 30)
    clone.set_params(source="folder", folder="frames", crop="whole")
    ran = clone.repro()
    assert ran.index("frames") < ran.index("download") and ran[-1] == "report"
    assert json.loads((clone.root / "data/manifest.json").read_text())["count"] == 30
    assert clone.omokage("stale")[0] == clone.omokage("audit")[0] == 0
    # Another image: DVC runs the user's stage and then ours, which alone is said to be stale.
    write_random_images(images, 1, first=30)
    assert clone.omokage("stale")[0] == 0
    assert clone.repro("download") == ["frames", "params", "download"]
    assert json.loads((clone.root / "data/manifest.json").read_text())["count"] == 31
    assert "detect" in clone.omokage("stale")[1]


def test_a_stage_with_a_damaged_entry_is_still_named(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    add_stages(clone, "\n  broken:\n")
    code, printed = clone.omokage("stale")
    assert code == 2 and "dvc.yaml is cut off or damaged" in printed


def test_a_stage_of_a_user_may_depend_on_an_address() -> None:
    entry = {"cmd": "cat page", "deps": [{"path": "https://a.invalid/page", "checksum": "1"}], "outs": []}
    assert parse_lock(json.dumps({"stages": {"mine": entry}}).encode()) == {"mine": entry}
    with pytest.raises(UserError, match=r"dvc.lock is cut off or damaged"):
        parse_lock(json.dumps({"stages": {"train": {**entry, "cmd": "sh workflow/stage train"}}}).encode())
