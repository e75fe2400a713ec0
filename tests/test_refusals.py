"""Bad input through `dvc repro`: one line that says what to do, exit code not 0, nothing half-written, nothing lost."""

from collections.abc import Callable
from typing import Any
from zipfile import ZipFile

import pytest
from conftest import Clone, stages_run
from test_experiments import draw
from test_graph import STAGES, digests, planned

from omokage import pipeline
from omokage.params import whole

CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "missing folder": ({"source": "folder", "folder": "../nowhere"}, "params", "folder = '../nowhere': there is no"),
    "zip without pictures": ({"source": "folder", "folder": "../empty.zip"}, "download", "holds no picture"),
    "fewer faces than a batch": ({"batch_size": 64}, "train", "batch_size = 64, but there are only"),
    "strange weights": ({"extractor": "inception"}, "weights", "inception-2015-12-05.pt is no TorchScript"),
    "nothing held out": ({"held_out": 0.0001}, "faces", "expected at least 2 of each"),
    "unknown style": ({"avatar_styles": ["nobody"]}, "params", "nobody"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_one_line_and_loses_nothing(copy_of: Callable[[], Clone], case: str) -> None:
    change, stage, complaint = CASES[case]
    clone = copy_of()
    with ZipFile(clone.root.parent / "empty.zip", "w") as file:
        file.writestr("readme.txt", "no picture")
    (clone.root / "weights").mkdir()
    (clone.root / "weights" / "inception-2015-12-05.pt").write_text("<html>not found</html>")
    before = set((clone.root / "results").rglob("*"))
    clone.set(**change)
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("omokage: ")]
    assert len(said) == 1
    assert said[0].startswith(f"omokage: {stage}: ")
    assert complaint in said[0]
    # What is promised here, the end of this test does; `params` deletes nothing that it could promise to restore.
    assert said[0].endswith("`dvc repro` restores its results)") == (stage != "params")
    assert "Traceback" not in done.stderr
    assert not list(clone.root.glob("*/**/.partial-*"))
    stages = pipeline.read(clone.root)
    later = list(stages)[list(stages).index(stage) + 1 :]
    kept = {clone.root / out for name in later for out in stages[name].outs}
    assert all(path.exists() for path in kept if path in before)
    clone.run("git", "checkout", "--", "params.yaml")
    assert stages_run(clone.dvc("repro").stdout) == []
    # How long the stages before it took may have changed.
    assert clone.run("git", "status", "--porcelain", ".", ":!results/timings.json").stdout == ""


@pytest.mark.parametrize("case", ["missing folder", "zip without pictures", "fewer faces than a batch"])
def test_under_snakemake_alone_a_mistake_loses_nothing_at_all(copy_of: Callable[[], Clone], case: str) -> None:
    change, _, complaint = CASES[case]
    clone = copy_of()
    with ZipFile(clone.root.parent / "empty.zip", "w") as file:
        file.writestr("readme.txt", "no picture")
    before = digests(clone)
    clone.set(**change)
    done = clone.snakemake(check=False)
    assert done.returncode != 0
    assert complaint in done.stderr and "restores its results" not in done.stderr
    stage = CASES[case][1]
    ahead = [name for name in STAGES if list(STAGES).index(name) < list(STAGES).index(stage)]
    remade = {out for name in ahead for out in STAGES[name].outs}
    assert {out: digest for out, digest in digests(clone).items() if out not in remade} == {
        out: digest for out, digest in before.items() if out not in remade
    }
    clone.run("git", "checkout", "--", "params.yaml")
    assert stage not in planned(clone)


def test_a_result_that_was_edited_is_made_again(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    table = clone.root / "results" / "loss.csv"
    table.write_text(table.read_text() + "9,9,9\n")
    assert planned(clone) >= {"train", "sample", "report"}


def test_an_unreadable_picture_among_good_ones_is_a_counted_drop(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    pictures = clone.root / "pictures"
    draw(pictures, 20)
    (pictures / "broken.png").write_bytes((pictures / "face-0.png").read_bytes()[:100])
    clone.set(source="folder", crop="whole")
    clone.dvc("repro", "faces")
    tally = whole.load(clone.root / "results" / "faces.json")["faces"]
    assert tally["pictures"] == 21
    # The folder's own README and .gitignore are the others.
    assert tally["dropped"] == {"broken": 1, "left out": 2}
    assert "broken.png" in (clone.root / "data" / "curation.csv").read_text()


def test_a_wrong_key_is_refused_though_nothing_else_changed(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    path = clone.root / "params.yaml"
    path.write_text(path.read_text() + "frobnicate: 1\n")
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    assert "frobnicate = 1 is no parameter" in done.stderr
    assert (clone.root / "results" / "report.html").exists()


def test_a_missing_key_is_refused_before_anything_is_lost(copy_of: Callable[[], Clone]) -> None:
    clone = copy_of()
    path = clone.root / "params.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("lr:")))
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    assert "lr is missing: add it" in done.stderr
    assert (clone.root / "results" / "model.safetensors").exists()
    plain = clone.snakemake(check=False)
    assert plain.returncode != 0
    assert "lr is missing: add it" in plain.stderr
