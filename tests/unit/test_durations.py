"""Predicted times: in proportion to the work, from runs on this machine only, and unknown rather than wrong."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.clone import ROOT, TINY_PARAMS, tiny_params

from omokage.config.params_file import default_params
from omokage.config.presets import read_presets
from omokage.diffusion import posthoc_ema
from omokage.editing.edits import INVERSION_ITERATIONS
from omokage.evaluation.scores import alignment
from omokage.params.sample import Params
from omokage.params.schema import PARTS
from omokage.pipeline import durations, workload
from omokage.pipeline.durations import fit_and_predict, predict_duration, read_records, record_duration
from omokage.pipeline.workload import Workload, count_work
from omokage.sampling import batches
from omokage.stages import transform
from omokage.training import trainer, validation

# The factors below are those of this recipe.
DEFAULTS = default_params() | read_presets(ROOT)["laptop-32"].params
TRAIN_SECONDS = 300.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout in which every stage ran once, for 30 s, but train for 300 s."""
    for stage in PARTS:
        record_duration(tmp_path, stage, DEFAULTS, TRAIN_SECONDS if stage == "train" else 30.0, 2)
    return tmp_path


def predict(root: Path, stage: str, **changes: Any) -> float | None:
    return predict_duration(root, stage, DEFAULTS | changes, 2)


def test_the_counts_follow_the_code() -> None:
    assert workload.SNAPSHOTS == posthoc_ema.SNAPSHOT_COUNT and workload.BATCH == batches.BATCH_SIZE
    assert workload.COUNTERPART == batches.COUNTERPART_IMAGES
    assert workload.PAIRS == transform.PAIRS and workload.PROBES == trainer.PROBE_COUNT
    assert workload.LEVELS == validation.NOISE_LEVELS and workload.INVERSION == INVERSION_ITERATIONS + 1
    assert workload.PROBE_FACES == validation.FACES_PER_LEVEL and workload.CANDIDATES == alignment.CANDIDATES


def test_sampling_counts_the_batches_of_every_set() -> None:
    values = DEFAULTS | {"sampler_study": ["ddim:10", "raw/heun:30"], "samples": 100, "steps": 1200}
    p = Params(**{key: values[key] for key in Params.model_fields})
    sets = batches.list_sample_sets(p, posthoc_ema.choose_snapshot_steps(values["steps"]))
    calls = sum(
        -(-config.count // batches.BATCH_SIZE) * config.evaluations * (1 if isinstance(config.weights, int) else 2)
        for config in sets.values()
    )
    counted = count_work("sample", values, None)
    assert counted and counted.calls == calls and counted.pixels == calls * 32 * 32**2


def test_evaluating_counts_features_the_search_for_faces_and_for_copies_and_the_variety() -> None:
    sets = {"samples": 100, "progress_samples": 10, "sampler_study": ["ddim:10"], "steps": 1200}
    values = DEFAULTS | sets | {"reference_faces": 80, "image_size": 16, "held_out": 0.1}
    work = count_work("evaluate", values, 500)
    # 450 training faces, of which 80 are in the reference, and 50 held-out faces. So 80 samples are scored.
    features = 80 + posthoc_ema.SNAPSHOT_COUNT * 10 + 100
    faces_searched = 80 + 50
    aligned = (80 + 50) * 2 * alignment.CANDIDATES * 16**2
    compared = (80 + 50) * 500 + 2 * 80**2
    assert work and work.calls == pytest.approx(features + faces_searched / 5)
    assert work.pixels == pytest.approx(aligned / 4 + compared / 2)


@pytest.mark.parametrize(
    ("stage", "changes", "factor"),
    [
        ("train", {"lr": 0.1}, 1),
        ("train", {"steps": 12_000}, 10),
        ("train", {"batch_size": 128}, 1.8),
        ("train", {"image_size": 64, "attention_resolutions": [8]}, 3.4),
        ("train", {"image_size": 64, "attention_resolutions": [8], "batch_size": 256, "steps": 150_000}, 1450),
        ("sample", {"samples": 10_000}, 11),
        ("sample", {"sample_steps": 40}, 2),
        ("sample", {"sampler": "heun"}, 1),
        ("sample", {"guidance_scale": 1.0}, 0.65),
        ("sample", {"sampler_study": ["ddim:20"]}, 1.7),
        ("transform", {"transform_steps": 100}, 2),
        ("download", {"avatar_count": 12_000}, 2),
        ("reference", {"reference_faces": 250}, 0.5),
        ("evaluate", {"progress_samples": 128}, 1.3),
        ("evaluate", {"avatar_count": 12_000}, 1.1),
        ("evaluate", {"image_size": 64, "attention_resolutions": [8]}, 1.5),
        ("report", {"report_title": "x"}, 1),
    ],
)
def test_a_time_is_in_proportion_to_the_work(root: Path, stage: str, changes: dict[str, Any], factor: float) -> None:
    seconds = predict(root, stage, **changes)
    before = TRAIN_SECONDS if stage == "train" else 30.0
    assert seconds is not None and seconds / before == pytest.approx(factor, rel=0.35)


@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        ("train", {"model_channels": 96}),
        ("train", {"optimiser": "adamw"}),
        ("train", {"batch_size": 1}),
        ("sample", {"channel_mult": [1, 2, 4]}),
        ("evaluate", {"extractor": "inception"}),
        ("evaluate", {"bootstrap": 100_000}),
        ("figures", {"image_size": 64}),
        ("download", {"source": "kaggle"}),
        ("faces", {"source": "folder"}),
    ],
)
def test_a_time_that_no_run_tells_is_unknown(root: Path, stage: str, changes: dict[str, Any]) -> None:
    assert predict(root, stage, **changes) is None


def test_a_time_holds_only_for_the_same_kind_of_machine(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert predict(root, "train") == pytest.approx(TRAIN_SECONDS)
    assert predict_duration(root, "train", DEFAULTS, 3) is None
    monkeypatch.setattr(durations, "describe_machine", lambda: "another processor, 2 cores")
    assert predict(root, "train") is None


def test_a_short_run_may_consist_of_its_fixed_part(tmp_path: Path) -> None:
    record_duration(tmp_path, "faces", DEFAULTS, 0.9, 2)
    assert predict_duration(tmp_path, "faces", DEFAULTS | {"avatar_count": 60_000}, 2) is None
    assert predict_duration(tmp_path, "faces", DEFAULTS | {"avatar_count": 7_000}, 2) == pytest.approx(0.97, abs=0.1)


def test_new_images_of_unknown_number_have_no_time(tmp_path: Path) -> None:
    values = DEFAULTS | {"source": "folder"}
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifest.json").write_text('{"count": 500}')
    record_duration(tmp_path, "faces", values, 10.0, 2)
    assert predict_duration(tmp_path, "faces", values, 2) == pytest.approx(10)
    assert predict_duration(tmp_path, "faces", values, 2, has_new_data=True) is None


def simulate(works: Sequence[Workload], fixed: float, rate: float, overhead: float) -> list[float]:
    return [fixed + rate * (work.pixels + work.calls * overhead) for work in works]


@pytest.mark.parametrize("overhead", [3e3, 2e4, 6e4])
@pytest.mark.parametrize("fixed", [0.0, 1.5, 3.5])
def test_a_prediction_is_near_the_truth_or_unknown(fixed: float, overhead: float) -> None:
    """Machines with all kinds of costs, predicted from one to three runs."""
    sizes = [(8, 16, 200), (64, 32, 300), (16, 64, 600), (128, 32, 2000)]
    works = [Workload(steps, steps * batch * side**2, {}) for batch, side, steps in sizes]
    seconds = simulate(works, fixed, 3e-6, overhead)
    known = 0
    for count in (1, 2, 3):
        runs = list(zip(works[:count], seconds[:count], strict=True))
        for work, truth in zip(works, seconds, strict=True):
            predicted = fit_and_predict(runs, work, on_gpu=False)
            if predicted is not None:
                known += 1
                assert 1 / 1.6 < predicted / truth < 1.6
    assert known >= 8


def test_new_runs_that_contradict_old_ones_count_alone() -> None:
    work = Workload(100, 1e6, {})
    assert fit_and_predict([(work, 90.0), (work, 30.0), (work, 31.0)], work, on_gpu=False) == pytest.approx(30.5, 0.02)


def test_bookkeeping_never_fails(tmp_path: Path) -> None:
    folder = tmp_path / ".dvc" / "tmp" / "omokage"
    folder.mkdir(parents=True)
    for damaged in ("<<<<<<< ours\n", "{}", "[1, {}, null]", ""):
        (folder / "timings.json").write_text(damaged)
        assert predict(tmp_path, "train") is None
        record_duration(tmp_path, "train", DEFAULTS, 5.0, 2)
        assert predict(tmp_path, "train") == pytest.approx(5)
    (folder / "timings.json").unlink()
    (folder / "timings.json").mkdir()
    record_duration(tmp_path, "train", DEFAULTS, 5.0, 2)
    record_duration(tmp_path, "train", {}, 5.0, 2)
    assert read_records(tmp_path) == []


def test_the_file_keeps_the_newest_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "MAX_RECORDS", 3)
    for seconds in (1.0, 2.0, 3.0, 4.0):
        record_duration(tmp_path, "report", tiny_params(**TINY_PARAMS), seconds, 1)
    assert [record["seconds"] for record in read_records(tmp_path)] == [2.0, 3.0, 4.0]
    assert len(json.loads((tmp_path / ".dvc" / "tmp" / "omokage" / "timings.json").read_text())) == 3
