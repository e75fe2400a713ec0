"""An error of the user: one line says what to do, the exit code is not 0, and no output is lost or half-written."""

import os
from collections.abc import Callable
from typing import Any
from zipfile import ZipFile

import pytest
from support.clone import Clone, parse_stages_run
from support.images import write_random_images
from support.runs import STAGES, find_planned_stages, hash_outputs

from omokage.config.yaml_file import load_yaml

# By error: the parameters, the stage that fails, and a part of its message.
ERRORS: dict[str, tuple[dict[str, Any], str, str]] = {
    "missing folder": ({"source": "folder", "folder": "../nowhere"}, "params", "nowhere does not exist"),
    "names that are not UTF-8": (
        {"source": "folder", "folder": "../shift_jis"},
        "params",
        r"has names that are not UTF-8 (2, the first is \x83\\x83t\x83g), at which DVC stops: pack the folder",
    ),
    "zip without images": ({"source": "folder", "folder": "../empty.zip"}, "download", "holds no image"),
    "fewer faces than a batch": (
        {"batch_size": 64, "ema_half_life": 1.0},
        "train",
        "batch_size = 64, but the training set has only",
    ),
    "invalid weights": ({"extractor": "inception"}, "extractor_weights", "inception-2015-12-05.pt is not TorchScript"),
    "empty held-out set": ({"held_out": 0.0001}, "faces", "expected at least 2 of each"),
    "unknown style": ({"avatar_styles": ["nobody"]}, "params", "nobody"),
}


def write_bad_files(clone: Clone) -> None:
    """Write a zip without images, a folder with names in Shift-JIS, and extractor weights that are an error page."""
    folder = clone.root.parent / "shift_jis" / os.fsdecode("ソフト".encode("cp932"))
    folder.mkdir(parents=True)
    (folder / os.fsdecode("顔.png".encode("cp932"))).write_bytes(b"an image")
    with ZipFile(clone.root.parent / "empty.zip", "w") as file:
        file.writestr("readme.txt", "no image")
    (clone.root / "weights").mkdir()
    (clone.root / "weights" / "inception-2015-12-05.pt").write_text("<html>not found</html>")


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_prints_one_line_and_loses_no_output(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone], error: str
) -> None:
    changes, stage, message = ERRORS[error]
    clone = copy_clone()
    if error not in ("missing folder", "zip without images"):
        bypass_snakemake(clone)
    write_bad_files(clone)
    existing = set((clone.root / "results").rglob("*"))
    clone.set_params(**changes)
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("omokage: ")]
    assert line.startswith(f"omokage: {stage}: ")
    assert message in line
    # The end of this test checks this promise. `params` does not make it, because it deletes nothing.
    assert line.endswith("undo your changes and run `dvc repro`)") == (stage != "params")
    assert "Traceback" not in done.stderr
    assert not list(clone.root.glob("*/**/.partial-*"))
    later = list(STAGES)[list(STAGES).index(stage) + 1 :]
    later_outputs = {clone.root / out for name in later for out in STAGES[name].outs}
    assert all(path.exists() for path in later_outputs if path in existing)
    clone.run("git", "checkout", "--", "params.yaml")
    # The stages before the failed one have added their times, which the report reads.
    assert set(parse_stages_run(clone.dvc("repro").stdout)) <= {"report"}
    changed = clone.run("git", "status", "--porcelain").stdout.split()[1::2]
    assert {*changed} <= {"dvc.lock", "results/runs/report.json", "results/timings.json"}


@pytest.mark.parametrize(
    "error",
    [
        pytest.param("missing folder", marks=pytest.mark.slow),
        pytest.param("zip without images", marks=pytest.mark.slow),
        "fewer faces than a batch",
    ],
)
def test_snakemake_alone_keeps_the_outputs_of_the_failed_stage_too(copy_clone: Callable[[], Clone], error: str) -> None:
    changes, stage, message = ERRORS[error]
    clone = copy_clone()
    write_bad_files(clone)
    before = hash_outputs(clone)
    clone.set_params(**changes)
    done = clone.snakemake(check=False)
    assert done.returncode != 0
    assert message in done.stderr and "undo your changes" not in done.stderr
    earlier = list(STAGES)[: list(STAGES).index(stage)]
    rewritten = {out for name in earlier for out in STAGES[name].outs}
    after = hash_outputs(clone)
    assert {out: after[out] for out in after if out not in rewritten} == {
        out: before[out] for out in before if out not in rewritten
    }
    clone.run("git", "checkout", "--", "params.yaml")
    assert stage not in find_planned_stages(clone)


def test_an_edited_output_is_made_again(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    table = clone.root / "results" / "loss.csv"
    table.write_text(table.read_text() + "9,9,9\n")
    assert find_planned_stages(clone) >= {"train", "sample", "report"}


def test_a_broken_image_among_good_ones_is_dropped_and_counted(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    pictures = clone.root / "pictures"
    write_random_images(pictures, 20)
    (pictures / "broken.png").write_bytes((pictures / "face-0.png").read_bytes()[:100])
    clone.set_params(source="folder", crop="whole")
    clone.repro("faces")
    counts = load_yaml(clone.root / "results" / "curation.json")
    assert counts["pictures"] == 21
    # The two left out are the folder's own README and .gitignore.
    assert (counts["dropped"], counts["left_out"]) == ({"broken": 1}, 2)
    assert "broken.png" in (clone.root / "data" / "curation.csv").read_text()


def test_an_unknown_parameter_is_an_error_even_if_nothing_else_changed(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    path = clone.root / "params.yaml"
    path.write_text(path.read_text() + "frobnicate: 1\n")
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    assert "frobnicate = 1 is not a parameter" in done.stderr
    assert (clone.root / "results" / "report.html").exists()


def test_a_missing_parameter_is_an_error_before_any_output_is_lost(copy_clone: Callable[[], Clone]) -> None:
    clone = copy_clone()
    path = clone.root / "params.yaml"
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("lr:")))
    done = clone.dvc("repro", check=False)
    assert done.returncode != 0
    assert "lr is missing: add it" in done.stderr
    assert (clone.root / "results" / "model.safetensors").exists()
    done = clone.snakemake(check=False)
    assert done.returncode != 0
    assert "lr is missing: add it" in done.stderr
