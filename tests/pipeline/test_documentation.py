"""The commands of the quickstart and the tutorial run in their order, and do what the pages say."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.clone import ROOT, TINY_PARAMS, Clone
from support.documentation import Block, Reader, add_environment, find_file_names, read_blocks
from support.images import write_random_images

from omokage.pipeline.dvc_lock import hash_md5

QUICKSTART, TUTORIAL = "docs/quickstart.md", "docs/tutorial.md"
# Blocks that are not run, by their first line, with the reason.
NOT_RUN = {
    "sudo apt install git make python3 python3-venv": "installs packages on the system",
    "make PYTHON=python3.12": "needs another Python, and builds an environment from the package index",
    "export HTTPS_PROXY=http://proxy.example.org:3128": "names a proxy that does not exist",
    "xdg-open results/report.html": "opens a browser",
    "make test": "would run this test again",
}
# The values in the pages are for a real training. These take seconds.
TINY_VALUES = {"samples=1000": "samples=12", "-n 1000": "-n 5", "--steps 50": "--steps 4"}
# These are the tutorial's own, or do not affect the time.
TINY_PRESET = TINY_PARAMS.keys() - {"avatar_count", "avatar_size", "timesteps", "lr", "held_out"}


def select_blocks(page: str) -> list[Block]:
    """Return the blocks of a page that are run."""
    return [block for block in read_blocks(page) if block.text.splitlines()[0] not in NOT_RUN]


@pytest.fixture
def reader(finished_clone: Clone, preload: Callable[[Clone], Clone], tmp_path: Path) -> Reader:
    """A reader whose repository is the finished clone, and who has not cloned it yet."""
    substitutions = {"ADDRESS": f"'{finished_clone.root}'", **TINY_VALUES}
    return Reader(preload(Clone(tmp_path / "omokage")), substitutions)


def prepare(clone: Clone) -> None:
    """Give the reader's new clone an environment, and a tiny network to the preset of the tutorial."""
    add_environment(clone)
    preset = clone.root / "workflow/presets/folder-32.yaml"
    lines = [f"  {key}: {TINY_PARAMS[key]}\n" for key in sorted(TINY_PRESET)]
    preset.write_text("".join([preset.read_text(), "params:\n", *lines]))
    clone.commit("a tiny preset")


def check_file_names(page: str, clone: Clone) -> None:
    """Check that each file exists that the page names."""
    missing = [name for name in find_file_names(page) if not (clone.root / name).exists()]
    assert not missing, f"{page} names files that do not exist after its commands"


def test_every_block_that_is_not_run_is_in_a_page() -> None:
    first_lines = {block.text.splitlines()[0] for page in (QUICKSTART, TUTORIAL) for block in read_blocks(page)}
    assert first_lines > NOT_RUN.keys()


@pytest.mark.parametrize("from_cache", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_quickstart(from_cache: bool, reader: Reader, finished_clone: Clone) -> None:
    clone, (download, identify, make, *blocks) = reader.clone, select_blocks(QUICKSTART)
    if not from_cache:
        clone.without_preloading()
    reader.run(download)
    reader.run(identify)
    prepare(clone)
    if from_cache:
        shutil.copytree(finished_clone.root / ".dvc/cache", clone.root / ".dvc/cache")
    output = reader.run(make)
    assert output.splitlines()[-1].startswith("report: results/report.html, Fréchet distance ")
    assert ("Running stage 'train'" in output) != from_cache
    outputs = [reader.run(block) for block in blocks]
    (plan,) = (output for output in outputs if "figures that may change" in output)
    assert [line.split()[0] for line in plan.splitlines()[:5]] == ["params", "sample", "evaluate", "figures", "report"]
    check_file_names(QUICKSTART, clone)
    # The last commands have undone the experiment.
    assert clone.run("git", "diff", "HEAD", "--", "params.yaml", "results/metrics.json").stdout == ""


@pytest.mark.long
def test_the_tutorial(reader: Reader) -> None:
    clone, faces = reader.clone, reader.home / "faces"
    reader.run(Block("", 0, "git clone -q ADDRESS omokage"))
    prepare(clone)
    write_random_images(faces, 60)
    (faces / "face-0.png").rename(faces / "me.png")
    shutil.copy2(faces / "face-1.png", faces / "copy.png")
    (faces / "broken.png").write_bytes((faces / "face-2.png").read_bytes()[:300])
    (faces / "notes.txt").write_text("no picture")
    outputs = {block.text: reader.run(block) for block in select_blocks(TUTORIAL)}
    check_file_names(TUTORIAL, clone)
    # The page shows what the commands print.
    page, dropped = (ROOT / TUTORIAL).read_text(), outputs["grep dropped data/curation.csv\n"]
    assert outputs["cat results/curation.json\n"].strip() in page
    assert "notes.txt,,dropped," in dropped and [line in page for line in dropped.splitlines()].count(True) == 2
    (identified,) = (output for text, output in outputs.items() if "omokage why" in text)
    assert "data            pictures, 62 images" in identified and "experiment more" in identified
    # The model was shared, and the pictures were not.
    shared = {path.name for path in (reader.home / "omokage-store").rglob("*") if path.is_file()}
    assert len(shared) > 1 and hash_md5(clone.root / "data/pictures.zip")[2:] not in shared


def test_the_readme_is_short_and_each_of_its_commands_is_one_of_a_page() -> None:
    commands = {line for page in (QUICKSTART, TUTORIAL) for block in read_blocks(page) for line in block.commands}
    blocks = read_blocks("README.md")
    assert blocks[0].commands == ["make", "make test"]
    assert {line for block in blocks for line in block.commands} <= commands
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_readme_links_only_to_files_that_exist() -> None:
    links = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", (ROOT / "README.md").read_text())
    assert len(links) > 20 and not [link for link in links if not (ROOT / link).exists()]


def test_a_wrong_command_is_found(reader: Reader) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"page.md:7 exited with 2:\nls --no-such-option\necho done\n"):
        reader.run(Block("page.md", 7, "ls --no-such-option\necho done\n"))
