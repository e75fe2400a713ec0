"""`omokage export`: the folder works without Omokage, gives the run's samples, and says what the run was."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from safetensors import safe_open
from safetensors.torch import load_file
from support.clone import Clone
from torch import Tensor

import omokage
from omokage.base.errors import UserError
from omokage.base.files import hash_file, hash_tree
from omokage.base.job import Job
from omokage.cli.main import main
from omokage.config.yaml_file import load_yaml
from omokage.diffusion.model import load_model, save_model
from omokage.diffusion.unet import UNet
from omokage.export import onnx_file
from omokage.export.denoiser import OmokageDenoiser
from omokage.export.files import MODEL
from omokage.export.folder import SETTINGS, Options, write_folder
from omokage.export.run import find_run
from omokage.params.sample import Params
from omokage.provenance.history import History
from omokage.sampling.batches import BatchSampler

CPU = torch.device("cpu")
# Loads the folder in a process that cannot import omokage or open a connection.
LOADER = """
import importlib.abc, socket, sys

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "omokage":
            raise ImportError("omokage is not installed here")

def refuse(*_):
    raise OSError("no network")

sys.meta_path.insert(0, Blocker())
socket.socket.connect = socket.getaddrinfo = refuse
import numpy as np
from diffusers import DiffusionPipeline

folder, out = sys.argv[1:]
pipeline = DiffusionPipeline.from_pretrained(folder, custom_pipeline=folder, trust_remote_code=True)
np.savez(
    out,
    run=np.stack([np.asarray(image) for image in pipeline(batch_size=10).images]),
    other=pipeline(2, seed=5, first=3, sampler="heun", num_inference_steps=3, output_type="np").images,
)
assert "omokage" not in sys.modules
"""


@pytest.fixture(scope="module")
def exported(finished_clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `omokage export` writes for the finished clone."""
    folder = tmp_path_factory.mktemp("export") / "tiny-faces"
    code, output = finished_clone.omokage("export", str(folder))
    assert code == 0, output
    assert "denoiser.onnx: differs from PyTorch by" in output
    return folder


def export(clone: Clone, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.chdir(clone.root)
    return main(["export", *arguments, "--no-onnx"])


def change_weights(network: UNet) -> None:
    """Add 0.1 to the weights of the last layer, so that the network predicts something else."""
    with torch.no_grad():
        next(layer for layer in network.last.modules() if isinstance(layer, torch.nn.Conv2d)).weight.add_(0.1)


def generate_with_stage(clone: Clone, work: Path, **changes: Any) -> Tensor:
    """Return the first samples that the stage `sample` generates with the clone's parameters and `changes`."""
    values = {**load_yaml(clone.root / "params.yaml"), **changes}
    params = Params.model_validate({key: values[key] for key in Params.model_fields})
    inputs = {path: clone.root / path for path in ("results/model.safetensors", "results/snapshots.safetensors")}
    return BatchSampler(Job(params, inputs, {}, work, threads=1)).generate("samples", 0)["samples"]


def test_the_onnx_file_equals_the_network_for_any_number_of_images(finished_clone: Clone, exported: Path) -> None:
    import onnxruntime

    network, spec = load_model(finished_clone.root / "results/model.safetensors", CPU)
    session = onnxruntime.InferenceSession(exported / "denoiser.onnx")
    side, generator = spec.architecture.image_size, torch.Generator().manual_seed(1)
    for count in (1, 3, 5, 8):
        x = torch.randn(count, 3, side, side, generator=generator)
        angle = 1.57 * torch.rand(count, generator=generator)
        (found,) = session.run(["prediction"], {"x": x.numpy(), "angle": angle.numpy()})
        expected = network(x, angle).numpy()
        assert found.shape == expected.shape and np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert onnx_file.compare(network, side, exported / "denoiser.onnx") <= 1e-4
    change_weights(network)
    with pytest.raises(UserError, match="differs from the network"):
        onnx_file.compare(network, side, exported / "denoiser.onnx")


def test_diffusers_generates_the_samples_of_the_run_without_omokage(
    finished_clone: Clone, exported: Path, tmp_path: Path
) -> None:
    (tmp_path / "loader.py").write_text(LOADER)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, "-I", "loader.py", str(exported), "samples.npz"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    arrays = np.load(tmp_path / "samples.npz")
    samples = load_file(finished_clone.root / "results/samples.safetensors")["samples"].permute(0, 2, 3, 1).numpy()
    assert arrays["run"].shape == samples.shape == (10, 16, 16, 3)
    assert np.abs(arrays["run"].astype(int) - samples).max() <= 1
    changes = {"sample_seed": 5, "sampler": "heun", "sample_steps": 3}
    other = generate_with_stage(finished_clone, tmp_path / "work", **changes)[3:5].permute(0, 2, 3, 1).numpy()
    assert np.abs(255 * arrays["other"] - other).max() <= 1.001


def test_the_library_uses_the_guiding_model_of_the_folder(finished_clone: Clone, exported: Path) -> None:
    params = load_yaml(finished_clone.root / "params.yaml")
    model = omokage.load(exported / MODEL, threads=1)
    options = {"sampler": params["sampler"], "steps": params["sample_steps"], "spacing": params["timestep_spacing"]}
    samples = model.sample(4, seed=params["sample_seed"], guidance=params["guidance_scale"], **options)
    expected = load_file(finished_clone.root / "results/samples.safetensors")["samples"][:4]
    assert (samples.int() - expected.int()).abs().max() <= 1
    unguided = model.sample(4, seed=params["sample_seed"], guidance=1, **options)
    assert (samples.int() - unguided.int()).abs().max() > 1


@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": "ddpm-large", "guidance_scale": 3.0, "guidance_min_log_snr": -100.0},
        {"sampler": "ddim", "eta": 0.5, "timestep_spacing": "trailing"},
        {"sampler": "dpm-solver++", "timestep_spacing": "leading", "guidance_scale": 1.0},
        {"sample_steps": 7, "timestep_spacing": "log-snr", "sample_seed": 3},
    ],
    ids=lambda changes: next(iter(changes.values())),
)
def test_every_setting_means_what_it_means_in_the_stage(
    changes: dict[str, Any], finished_clone: Clone, exported: Path, tmp_path: Path
) -> None:
    denoiser = OmokageDenoiser.from_pretrained(exported / "denoiser")
    settings = {key: changes[parameter] for key, parameter in SETTINGS.items() if parameter in changes}
    expected = generate_with_stage(finished_clone, tmp_path, **changes)[:4]
    assert (denoiser.generate(range(4), **settings).int() - expected.int()).abs().max() <= 1


def test_wrong_settings_are_refused(exported: Path) -> None:
    denoiser = OmokageDenoiser.from_pretrained(exported / "denoiser")
    for changes, message in (
        ({"sampler": "euler"}, "sampler = 'euler': expected ddpm,"),
        ({"num_inference_steps": 21}, "num_inference_steps = 21: expected 1 to 20"),
        ({"steps": 5}, "steps: expected seed, sampler"),
    ):
        with pytest.raises(ValueError, match=message):
            denoiser.generate(range(1), **changes)
    denoiser.guiding = None
    with pytest.raises(ValueError, match="no guiding model"):
        denoiser.generate(range(1))


def test_a_run_with_a_posthoc_ema_and_without_guidance(finished_clone: Clone, tmp_path: Path) -> None:
    changes = {"ema_kind": "posthoc", "ema_sigma_rel": 0.1, "guidance_scale": 1.0}
    with History(finished_clone.root) as history:
        run = find_run(history, history.revision("workspace"))
        train = {**run.params["train"], "init_from": "other-faces.safetensors"}
        params = {**run.params, "train": train, "sample": {**run.params["sample"], **changes}}
        (folder := tmp_path / "folder").mkdir()
        write_folder(replace(run, params=params, samples=None), folder, Options("faces", has_onnx=False))
    assert not (folder / "guidance").exists() and not (folder / "denoiser.onnx").exists()
    expected = generate_with_stage(finished_clone, tmp_path / "work", **changes)[:4]
    denoiser = OmokageDenoiser.from_pretrained(folder / "denoiser")
    assert (denoiser.generate(range(4)).int() - expected.int()).abs().max() <= 1
    assert (folder / "samples.png").exists()  # cut out of the figure, without the file of samples
    card = (folder / "README.md").read_text()
    assert "onnx" not in card.lower() and "guidance/" not in card
    # The licence of the faces is known, but not that of the model that the training started from.
    assert "license: unknown" in card and "started from the weights of the model file `other-faces.safetensors`" in card


def test_the_model_file_keeps_its_weights_and_describes_the_run(finished_clone: Clone, exported: Path) -> None:
    original = finished_clone.root / "results/model.safetensors"
    network, spec = load_model(exported / "model.safetensors", CPU)
    expected, expected_spec = load_model(original, CPU)
    assert spec == expected_spec
    pairs = zip(network.state_dict().items(), expected.state_dict().items(), strict=True)
    assert all(name == other and torch.equal(a, b) for (name, a), (other, b) in pairs)
    with safe_open(exported / "model.safetensors", framework="pt") as file:
        header = file.metadata()
    values = load_yaml(finished_clone.root / "params.yaml")
    assert json.loads(header["parameters"])["train"]["steps"] == values["steps"]
    assert json.loads(header["scores"]) == json.loads((finished_clone.root / "results/scores.json").read_text())
    data = json.loads(header["training_data"])
    assert data["name"] == "DiceBear avatars: adventurer" and data["licences"][0]["licence"] == "CC BY 4.0"
    assert (header["format"], header["license"]) == ("pt", "cc-by-4.0")
    config = json.loads((exported / "config.json").read_text())
    assert config["model"]["prediction"] == values["prediction"]
    assert config["sampling"] == {key: values[parameter] for key, parameter in SETTINGS.items()}


def test_the_model_card_has_the_numbers_of_the_run(finished_clone: Clone, exported: Path) -> None:
    scores = json.loads((finished_clone.root / "results/scores.json").read_text())
    card = ModelCard.load(exported / "README.md")
    assert card.data.license == "cc-by-4.0" and card.data.library_name == "diffusers"
    assert card.data.model_name == "tiny-faces" and card.data.datasets == ["dicebear-avatars-adventurer"]
    results = {result.metric_type: result for result in card.data.eval_results}
    assert {"frechet-distance", "kid", "precision", "recall"} <= results.keys() and "fid" not in results
    distance = results["frechet-distance"]
    assert distance.metric_value == scores["distance"] and distance.metric_args["floor"] == scores["distance_floor"]
    assert distance.metric_args["n"] == scores["n"]
    assert [row for row in card.text.splitlines() if row.startswith(f"| {scores['score'].partition(' (')[0]}")]
    values = load_yaml(finished_clone.root / "params.yaml")
    for text in (
        "by Lisa Wischofsky, [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)",
        f"| train | `lr` | {values['lr']} |",
        hash_file(finished_clone.root / "results/model.safetensors"),
        "dvc repro",
        f"{scores['n']} samples against {scores['n_reference']} held-out faces",
    ):
        assert text in card.text
    assert yaml.safe_load(card.content.split("---\n")[1])["tags"][0] == "diffusers"


def test_an_experiment_that_is_not_applied(
    clone_with_experiment: Clone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, options = tmp_path / "other", ("--rev", "other", "--license", "mit")
    assert export(clone_with_experiment, monkeypatch, str(other), *options) == 0
    with safe_open(other / "model.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["parameters"])["train"]["lr"] == 1e-3
    assert "experiment other" in (card := (other / "README.md").read_text()) and "license: mit" in card
    # The same bytes again, and from the model file of the experiment.
    lock = json.loads((other / "config.json").read_text())
    with History(clone_with_experiment.root) as history:
        model = find_run(history, history.revision("other")).model
    assert export(clone_with_experiment, monkeypatch, str(tmp_path / "again"), "--model", str(model)) == 0
    assert json.loads((tmp_path / "again" / "config.json").read_text()) == lock
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("other", "again")]
    assert all(torch.equal(tensor, weights[1][key]) for key, tensor in weights[0].items())


def test_what_cannot_be_exported_is_named_in_one_line(
    copy_clone: Callable[[], Clone],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clone, out = copy_clone(), tmp_path / "out"

    def check(message: str, *arguments: str) -> None:
        assert export(clone, monkeypatch, str(out), *arguments) == 2
        assert message in (error := capsys.readouterr().err) and error.count("\n") == 1
        assert not out.exists() and not [*tmp_path.glob(".partial-*")]

    foreign = tmp_path / "foreign.safetensors"
    foreign.write_text("text")
    check("foreign.safetensors is not a safetensors file", "--model", str(foreign))
    network, spec = load_model(clone.root / "results/model.safetensors", CPU)
    change_weights(network)
    save_model(foreign, network, spec)
    check("is not the model of a recorded run", "--model", str(foreign))
    check("no-such: no such revision", "--rev", "no-such")
    model = clone.root / "results/model.safetensors"
    model.unlink()
    shutil.copy(foreign, model)
    check("is not the model that dvc.lock lists")
    model.unlink()
    shutil.rmtree(clone.root / ".dvc/cache/files")
    check("run `dvc pull results/model.safetensors`, or `dvc repro`")
    check("is neither in this checkout nor in DVC's cache", "--rev", "HEAD")
    (clone.root / "dvc.lock").unlink()
    check("this checkout has no model yet")
    monkeypatch.setattr(onnx_file, "PACKAGES", ("onnx", "omokage_missing"))
    monkeypatch.chdir(clone.root)
    assert main(["export", str(out)]) == 2
    assert "omokage_missing not installed, expected the extra `export`" in capsys.readouterr().err


def test_only_an_earlier_export_is_replaced(
    finished_clone: Clone,
    exported: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    earlier, foreign, file = tmp_path / "earlier", tmp_path / "foreign", tmp_path / "file"
    shutil.copytree(exported, earlier)
    (foreign / "sub").mkdir(parents=True)
    (foreign / "sub" / "thesis.txt").write_text("mine")
    file.write_text("mine")
    before = hash_tree(tmp_path)
    for folder, message, options in (
        (earlier, "replace this earlier export with --force", []),
        (foreign, "exists and has sub/thesis.txt, which no export wrote", ["--force"]),
        (file, "is a file", ["--force"]),
        (finished_clone.root / "results" / "figures" / "loss.png" / "x", "is a file", ["--force"]),
        (finished_clone.root / "data" / "faces" / "x", "belongs to the pipeline", ["--force"]),
        (finished_clone.root / "docs", "is tracked by git", ["--force"]),
    ):
        assert export(finished_clone, monkeypatch, str(folder), *options) == 2
        assert message in capsys.readouterr().err
    (earlier / "notes.txt").write_text("mine")
    assert export(finished_clone, monkeypatch, str(earlier), "--force") == 2
    assert "notes.txt, which no export wrote" in capsys.readouterr().err
    (earlier / "notes.txt").unlink()
    assert hash_tree(tmp_path) == before
    assert export(finished_clone, monkeypatch, str(earlier), "--force") == 0
    assert not (earlier / "denoiser.onnx").exists() and (earlier / "README.md").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"earlier", "foreign", "file"}
