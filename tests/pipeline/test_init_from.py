"""The parameter `init_from` in the pipeline: the content of the model file decides whether `train` runs again."""

import json
from collections.abc import Callable

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from support.clone import Clone

from omokage.base.files import hash_file

MODEL = "results/model.safetensors"


def change_model(clone: Clone, name: str) -> None:
    """Write the model of the clone to models/NAME, with one weight changed."""
    with safe_open(clone.root / MODEL, framework="pt") as file:
        metadata = file.metadata()
    weights = load_file(clone.root / MODEL)
    weights["last.2.bias"] += torch.tensor(0.5)
    save_file(weights, clone.root / "models" / name, metadata)


def test_train_runs_again_only_if_the_content_of_its_initial_model_changes(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    models = clone.root / "models"
    (models / "first.safetensors").write_bytes((clone.root / MODEL).read_bytes())
    from_random = hash_file(clone.root / MODEL)
    assert clone.repro("train") == []

    clone.set_params(init_from="first.safetensors", keep_best=True)
    assert clone.repro("train") == ["params", "train"]
    record = json.loads((clone.root / "results/runs/train.json").read_text())
    assert record["deps"]["remote://checkout/models/${init_from}"] == hash_file(models / "first.safetensors")
    assert record["facts"]["best_step"] in (2, 4, 6)
    assert hash_file(clone.root / MODEL) != from_random
    from_first = hash_file(clone.root / MODEL)

    (models / "other.safetensors").write_bytes(b"unrelated")
    (models / "other.safetensors").rename(models / "renamed.safetensors")
    assert clone.repro("train") == [] and "train: " not in clone.omokage("stale")[1]

    change_model(clone, "first.safetensors")
    assert "models/${init_from} changed" in clone.omokage("stale")[1]
    code, printed = clone.omokage("why", "results/loss.csv")
    assert code == 0 and "changed since   the model file in init_from" in printed
    assert clone.repro("train") == ["train"]
    assert hash_file(clone.root / MODEL) != from_first


def test_a_model_that_does_not_exist_or_fit_stops_the_run_in_one_line(
    copy_clone: Callable[[], Clone], bypass_snakemake: Callable[[Clone], Clone]
) -> None:
    clone = bypass_snakemake(copy_clone())
    clone.set_params(init_from="absent.safetensors")
    done = clone.dvc("repro", "train", check=False)
    assert done.returncode and "params.yaml: init_from = 'absent.safetensors': " in done.stderr
    clone.set_params(init_from="../params.yaml")
    done = clone.dvc("repro", "train", check=False)
    assert done.returncode and "init_from = '../params.yaml': string should match" in done.stderr
    (clone.root / "models" / "other.safetensors").write_bytes((clone.root / MODEL).read_bytes())
    clone.set_params(init_from="other.safetensors", prediction="x0")
    done = clone.dvc("repro", "train", check=False)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("omokage: train:")]
    assert "init_from = 'other.safetensors': prediction is v, expected x0 as in this run" in line
