"""`omokage sample`: the pixels of the stage's samples, formats, resumption, revisions, metadata and errors."""

import hashlib
import json
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from support.clone import Clone, tiny_params
from support.runs import STAGES
from support.training import make_spec, train_tiny

from omokage.base.job import Job
from omokage.cli import sample_files
from omokage.cli.main import main
from omokage.config.params_file import render_params
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import save_model
from omokage.params.sample import Params
from omokage.sampling.generator import ImageGenerator
from omokage.stages import sample
from omokage.stamps.stamp import read_stamp

COUNT = 40  # samples of the run: two batches
MODEL, SNAPSHOTS = "results/model.safetensors", "results/snapshots.safetensors"
LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: sh workflow/stage train
    outs:
    - {{path: results/model.safetensors, hash: md5, md5: {model}}}
    - {{path: results/snapshots.safetensors, hash: md5, md5: {snapshots}}}
  sample:
    cmd: sh workflow/stage sample
    params:
      params.yaml: {params}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a tiny model, and the samples that the stage generates with parameters of its own in dvc.lock."""
    root = tmp_path_factory.mktemp("run")
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(render_params(tiny_params(samples=COUNT)))
    result = train_tiny(root / "work", steps=6, lr=4e-3)
    (root / "results").mkdir()
    save_model(root / MODEL, result.network, make_spec())
    posthoc_ema.save_snapshots(root / SNAPSHOTS, result.snapshots)
    params = write_lock(root, sample_steps=3, eta=0.5, sampler="ddim", sample_seed=5, guidance_min_log_snr=-3.0)
    outputs = {name: root / name for name in STAGES["sample"].outs}
    inputs = {name: root / name for name in (MODEL, SNAPSHOTS)}
    sample.run(Job(params, inputs, outputs, root / "work", threads=1))
    return root


@pytest.fixture
def checkout(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the run, which is the current folder."""
    root = tmp_path / "checkout"
    shutil.copytree(run, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("OMOKAGE_THREADS", "1")
    return root


def write_lock(root: Path, **changes: Any) -> Params:
    """Write a dvc.lock that lists the model and the parameters of the stage `sample`; return these parameters."""
    values = tiny_params(samples=COUNT, progress_samples=0, **changes)
    params = Params.model_validate({key: values[key] for key in Params.model_fields})
    md5s = [hashlib.md5((root / name).read_bytes()).hexdigest() for name in (MODEL, SNAPSHOTS)]
    lock = LOCK.format(model=md5s[0], snapshots=md5s[1], params=json.dumps(params.values()))
    (root / "dvc.lock").write_text(lock)
    return params


def run_git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, env=Clone(root).build_environment(), check=True, capture_output=True)


def read_folder(folder: Path) -> np.ndarray:
    """Return the pixels of a folder's PNG files in the order of their names, uint8 [n, 3, h, w]."""
    return np.stack([read_png(path) for path in sorted(folder.glob("[0-9]*.png"))])


def read_png(file: Any) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")).transpose(2, 0, 1)


def hash_files(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_without_options_the_samples_are_those_of_the_stage(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = load_file(checkout / "results/samples.safetensors")["samples"].numpy()
    assert main(["sample", "--grid"]) == 0
    assert capsys.readouterr().out == f"samples: {COUNT} samples\nsamples-grid.png: the first {COUNT} samples\n"
    assert len(expected) == COUNT and np.array_equal(read_folder(checkout / "samples"), expected)
    with Image.open("samples-grid.png") as grid:
        assert grid.size == (7 * 100 - 4 + 24, 6 * 100 - 4 + 24)
    # Everything is there, so nothing is generated again.
    before = {path: path.stat().st_mtime_ns for path in (checkout / "samples").iterdir()}
    assert main(["sample", "--grid"]) == 0
    assert {path: path.stat().st_mtime_ns for path in (checkout / "samples").iterdir()} == before

    # Archives have the same samples.
    for name in ("a.zip", "a.npz"):
        assert main(["sample", "--out", name, "--grid", "--force"]) == 0
        content = Path(name).read_bytes()
        assert Path("a-grid.png").read_bytes() == Path("samples-grid.png").read_bytes()
        assert main(["sample", "--out", name]) == 0 and main(["sample", "--out", name, "--force"]) == 0
        assert Path(name).read_bytes() == content and not list(checkout.glob(".partial*"))
    with zipfile.ZipFile("a.zip") as archive:
        names = [f"{number:06d}.png" for number in range(COUNT)]
        assert archive.namelist() == names and archive.testzip() is None
        assert all(archive.read(name) == (checkout / "samples" / name).read_bytes() for name in names)
    with np.load("a.npz") as arrays:
        assert np.array_equal(arrays["arr_0"], expected.transpose(0, 2, 3, 1))


def stop_after(batches: int, monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """Let the generation of samples stop after some batches; return the list of batches that are generated."""
    generated: list[range] = []
    generate = ImageGenerator.generate

    def count(self: ImageGenerator, images: range) -> Any:
        if len(generated) == batches:
            raise KeyboardInterrupt
        generated.append(images)
        return generate(self, images)

    monkeypatch.setattr(ImageGenerator, "generate", count)
    return generated


@pytest.mark.parametrize("out", ["some", "some.zip", "some.npz"])
def test_an_interrupted_command_continues(checkout: Path, monkeypatch: pytest.MonkeyPatch, out: str) -> None:
    command = ["sample", "-n", "70", "--steps", "2"]
    assert main([*command, "--out", f"whole{Path(out).suffix}"]) == 0
    with monkeypatch.context() as patch:
        generated = stop_after(1, patch)
        assert main([*command, "--out", out]) == 130
        assert generated == [range(32)] and (Path(out).is_dir() or not Path(out).exists())
    folder = Path(out) if Path(out).is_dir() else Path(f".partial-{out}")
    (folder / ".partial-123-000001.png").write_text("left by a killed process")
    with monkeypatch.context() as patch:
        generated = stop_after(9, patch)
        assert main([*command, "--out", out]) == 0
        assert generated == [range(32, 64), range(64, 96)]
    if Path(out).is_dir():
        assert hash_files(Path(out)) == hash_files(Path("whole"))
        # More samples with the same settings extend the folder.
        assert main([*command[:2], "71", *command[3:], "--out", out]) == 0
        assert {*hash_files(Path(out)).items()} > {*hash_files(Path("whole")).items()}
    else:
        assert Path(out).read_bytes() == Path(f"whole{Path(out).suffix}").read_bytes()


def test_other_settings_in_the_same_place_are_refused(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fast = ["sample", "-n", "2", "--steps", "1"]
    assert main([*fast, "--out", "some"]) == 0 and main([*fast, "--out", "some.npz"]) == 0
    capsys.readouterr()
    for arguments, message in (
        (
            ["--seed", "6", "--out", "some"],
            "some has samples with another sample_seed (5, now 6): choose",
        ),
        (["-n", "1", "--out", "some"], "some has more than 1 samples: choose another folder"),
        (["--seed", "6", "--out", "some.npz"], "some.npz exists: overwrite it with --force"),
        (["-n", "3", "--out", "some.npz"], "some.npz exists: overwrite it with --force"),
        (["--out", "results"], "results has an input of this command: choose another folder"),
        (["--out", "."], "has an input of this command"),
        (["--out", "params.yaml"], "params.yaml is a file: expected a folder"),
        (["--out", "some.npz", "--format", "zip"], "some.npz is npz, but --format is zip"),
    ):
        assert main([*fast, *arguments]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1 and message in lines[0], lines
    (checkout / "mine").mkdir()
    (checkout / "mine" / "000000.png").touch()
    for arguments in ([], ["--force"]):
        assert main([*fast, "--out", "mine", *arguments]) == 2
        assert "mine is not empty, and has no samples of this command" in capsys.readouterr().err
    first = hash_files(checkout / "some")
    assert main([*fast, "--seed", "6", "-n", "1", "--out", "some", "--force"]) == 0
    assert hash_files(checkout / "some").keys() == {"000000.png", "samples.json"} != first.keys()
    (checkout / "some" / "samples.json").write_text("{")
    assert main([*fast, "--out", "some"]) == 2 and "samples.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "51"], "51 steps: expected at most 50, the model's number of timesteps"),
        (["--steps", "0"], "sample_steps = 0: input should be greater than or equal to 1"),
        (["--guidance", "0.5"], "guidance_scale = 0.5: input should be greater than or equal to 1"),
        (["-S", "timestep_spacing=even"], "timestep_spacing = 'even': input should be 'early'"),
        (["-S", "lr=1"], "lr = 1 is not a parameter"),
        (["-S", "ema_kind"], "-S ema_kind: expected KEY=VALUE"),
        (["-S", "ema_kind=posthoc", "-S", "ema_sigma_rel=0.01"], "ema_sigma_rel = 0.01: the profile"),
        (["--rev", "nothing"], "nothing: "),
        (["--model", "nothing"], "nothing: there is no such file"),
        (["--model", "params.yaml"], "params.yaml is not a safetensors file"),
        (["--model", "results/snapshots.safetensors"], "does not contain an Omokage model"),
    ],
)
def test_an_error_is_one_line_and_writes_nothing(
    checkout: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["sample", "-n", "1", "--out", "some", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not (checkout / "some").exists()


def test_the_model_of_a_revision_comes_from_the_cache_of_dvc(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_git(checkout, "init", "-q")
    run_git(checkout, "add", "dvc.yaml", "params.yaml", "dvc.lock")
    run_git(checkout, "-c", "commit.gpgsign=false", "commit", "-q", "-m", "run")
    (checkout / ".dvc").mkdir()
    fast = ["sample", "-n", "2", "--steps", "2"]
    assert main([*fast, "--out", "workspace"]) == 0
    cache = checkout / ".dvc" / "cache" / "files" / "md5"
    for name in (MODEL, SNAPSHOTS):
        digest = hashlib.md5((checkout / name).read_bytes()).hexdigest()
        (cache / digest[:2]).mkdir(parents=True, exist_ok=True)
        shutil.move(checkout / name, cache / digest[:2] / digest[2:])
    write_params = render_params(tiny_params(samples=COUNT, sampler="ddpm"))
    (checkout / "params.yaml").write_text(write_params)
    assert main([*fast, "--rev", "HEAD", "--out", "head"]) == 0
    assert hash_files(Path("head")) == hash_files(Path("workspace"))
    shutil.rmtree(cache)
    capsys.readouterr()
    assert main([*fast, "--rev", "HEAD", "--out", "again"]) == 2
    assert capsys.readouterr().err == ("omokage: HEAD: its model is not in DVC's cache: run `dvc pull --all-commits`\n")
    assert main([*fast, "--out", "again"]) == 2
    assert "its model is not in DVC's cache: run `dvc pull train`" in capsys.readouterr().err
    (checkout / "dvc.lock").unlink()
    assert main([*fast, "--out", "again"]) == 2
    assert "there is no model yet (results/model.safetensors): run `dvc repro train`" in capsys.readouterr().err


def test_a_run_before_guidance_had_a_limit_had_guidance_at_all_noise_levels(checkout: Path) -> None:
    fast = ["sample", "-n", "2", "--steps", "3", "--guidance", "5"]
    assert main([*fast, "--out", "limited"]) == 0
    lock = (checkout / "dvc.lock").read_text()
    (checkout / "dvc.lock").write_text(lock.replace('"guidance_min_log_snr": -3.0, ', ""))
    assert (
        main([*fast, "--out", "older"]) == 0 and main([*fast, "-S", "guidance_min_log_snr=-100", "--out", "all"]) == 0
    )
    assert hash_files(Path("older")) == hash_files(Path("all"))
    assert not np.array_equal(read_folder(Path("older")), read_folder(Path("limited")))


def test_a_model_file_needs_no_checkout(checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(checkout / MODEL, tmp_path)
    assert main(["sample", "-n", "1", "--steps", "2", "--model", "model.safetensors", "--format", "npz"]) == 0
    with zipfile.ZipFile("samples.npz") as archive:
        assert json.loads(archive.comment)["sample"]["guidance_scale"] == 1.0


def test_snapshots_that_are_missing_are_an_error(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / SNAPSHOTS).unlink()
    assert main(["sample", "-n", "1"]) == 2
    message = "the snapshots of the training are missing: run `dvc pull train`, or use --guidance 1"
    assert capsys.readouterr().err == f"omokage: {message}\n"
    assert main(["sample", "-n", "1", "--guidance", "1"]) == 0


def test_why_answers_for_a_png(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", "-n", "2", "--steps", "2", "--grid"]) == 0
    stamp = read_stamp(Path("samples/000001.png"))
    assert stamp["sample"]["number"] == 1 and stamp["sample"]["sample_steps"] == 2
    assert stamp["model"] == hashlib.sha256((checkout / MODEL).read_bytes()).hexdigest()
    assert str(checkout) not in json.dumps(stamp)
    capsys.readouterr()
    for path, number in (("samples/000001.png", 1), ("samples-grid.png", None)):
        assert main(["why", path]) == 0
        text = capsys.readouterr().out
        assert "was written by `omokage sample`, according to its metadata" in text
        assert "sample_seed 5" in text and (f"number {number}" in text) == (number is not None)


def test_the_samples_are_written_as_they_are_generated(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    write = sample_files.PngFolder.write

    def measure(self: sample_files.PngFolder, numbers: range, images: np.ndarray) -> None:
        nonlocal largest
        largest = max(largest, len(images))
        assert len(list(self.folder.glob("*.png"))) == numbers.start
        write(self, numbers, images)

    monkeypatch.setattr(sample_files.PngFolder, "write", measure)
    assert main(["sample", "-n", "70", "--steps", "1"]) == 0
    assert largest == 32
