"""What the Snakefile asks of `pipeline.workflow`: which stages run, their inputs and outputs, numbers and logs."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from support.clone import ROOT

from omokage.base.errors import UserError
from omokage.config.params_file import default_params, render_params
from omokage.pipeline import slurm, workflow
from omokage.pipeline.snakemake_options import Options
from omokage.pipeline.workflow import LOG_LINES, NUMBERS, Workflow

REASONS = {"figures": ["parameter figure_dpi changed"], "report": ["stage figures will run"]}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with dvc.yaml and params.yaml, in which nothing has run yet."""
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy2(ROOT / name, tmp_path)
    for variable in ("OMOKAGE_THREADS", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def create(root: Path, is_main: bool = True, options: Options | None = None, **config: Any) -> Workflow:
    return Workflow(root, config, is_main, options or Options())


def set_stale(monkeypatch: pytest.MonkeyPatch, reasons: dict[str, list[str]]) -> None:
    """Make these stages stale."""
    monkeypatch.setattr(workflow, "find_stale", lambda root, values: reasons)


def set_slurm_jobs(monkeypatch: pytest.MonkeyPatch, has_jobs: bool) -> list[list[str]]:
    """Let an earlier run have left jobs or not; return a list that collects the stages asked about."""
    calls: list[list[str]] = []

    def wait_for_jobs(root: Path, stages: Iterable[str]) -> bool:
        calls.append(list(stages))
        return has_jobs

    monkeypatch.setattr(slurm, "wait_for_jobs", wait_for_jobs)
    return calls


def test_the_whole_graph_runs_what_is_stale(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = create(checkout)
    pipeline.decide()
    assert pipeline.to_run == set(pipeline.names) == set(pipeline.stages)
    assert pipeline.stale["train"][0] == "has not run yet"
    set_stale(monkeypatch, REASONS)
    pipeline.decide()
    assert pipeline.to_run == {"figures", "report"} and pipeline.stale == REASONS


def test_a_stage_that_dvc_runs_always_runs(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_stale(monkeypatch, {})
    pipeline = create(checkout, stage="sample")
    pipeline.decide()
    assert pipeline.to_run == {"sample"} and pipeline.names == ["sample"]


@pytest.mark.parametrize("is_stale", [False, True])
def test_results_of_an_earlier_runs_slurm_job_are_used_if_they_fit(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_stale: bool
) -> None:
    set_stale(monkeypatch, REASONS if is_stale else {})
    calls = set_slurm_jobs(monkeypatch, has_jobs=True)
    pipeline = create(checkout, stage="figures")
    pipeline.decide()
    assert calls == [["figures"]]
    assert pipeline.to_run == ({"figures"} if is_stale else set())
    message = "omokage: figures: the results of the earlier run fit and are used\n"
    assert capsys.readouterr().err == ("" if is_stale else message)


def test_a_question_and_the_process_of_a_job_wait_for_nothing(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = set_slurm_jobs(monkeypatch, has_jobs=True)
    create(checkout, options=Options(runs_jobs=False)).decide()
    create(checkout, is_main=False).decide()
    assert calls == []


@pytest.mark.parametrize("stage", [None, "train"])
def test_a_refusal_is_printed_where_snakemake_is_quiet(
    checkout: Path, capsys: pytest.CaptureFixture[str], stage: str | None
) -> None:
    pipeline = create(checkout, stage=stage)
    with pytest.raises(UserError, match=r"^omokage: too bad$"):
        pipeline.refuse("too bad")
    assert capsys.readouterr().err == ("omokage: too bad\n" if stage else "")


def test_an_unknown_stage_and_a_path_with_braces_are_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^omokage: stage = 'trian': expected one of params, download, "):
        create(checkout, stage="trian")
    braces = checkout / "{a}"
    braces.mkdir()
    shutil.copy2(checkout / "dvc.yaml", braces)
    monkeypatch.chdir(braces)
    with pytest.raises(UserError, match="expected a path without colons, braces and line breaks"):
        create(braces)


def test_another_folder_and_touch_are_refused(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"^omokage: --touch: hashes, not times, decide what is up to date"):
        create(checkout, options=Options(touch=True))
    monkeypatch.chdir(checkout.parent)
    with pytest.raises(UserError, match=f"^omokage: Snakemake must be run in the checkout: run `cd {checkout}` first"):
        create(checkout)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("lr", "^omokage: lr is a parameter: set it in params.yaml, or run `dvc exp run -S lr=1`$"),
        ("sample_job", "^omokage: the configuration has the unknown key sample_job: did you mean sample_jobs\\?$"),
        ("colour", f"^omokage: the configuration has the unknown key colour: expected one of {', '.join(NUMBERS)}$"),
    ],
)
def test_keys_of_the_configuration_that_nothing_reads_are_refused(checkout: Path, key: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Workflow(checkout, {key: 1})


def test_invalid_parameters_are_refused_before_any_job(checkout: Path) -> None:
    (checkout / "params.yaml").write_text(render_params({**default_params(), "lr": "fast"}))
    with pytest.raises(UserError, match=r"^omokage: params\.yaml: lr = 'fast'"):
        create(checkout).decide()
    (checkout / "params.yaml").unlink()
    with pytest.raises(UserError, match=r"^omokage: params\.yaml cannot be read"):
        create(checkout).decide()


def test_numbers_of_a_configfile_are_whole_and_large_enough(checkout: Path) -> None:
    pipeline = create(checkout, sample_jobs=3, gpus="0", train_nodes=0, detect_jobs="two", faces_jobs=1.5)
    assert pipeline.read_number("sample_jobs") == 3
    assert pipeline.read_number("gpus") == 0
    assert pipeline.read_number("train_processes") == 1
    for key, value in (("train_nodes", "0"), ("detect_jobs", "'two'"), ("faces_jobs", "1.5")):
        with pytest.raises(UserError, match=f"{key} = {value}: expected a whole number of at least 1"):
            pipeline.read_number(key)


def test_resources_for_an_unknown_rule_are_refused(checkout: Path) -> None:
    pipeline = create(checkout)
    pipeline.check_rule_names(["train", "detect_part"], split=["detect"])
    with pytest.raises(UserError, match="has the unknown rule trian: did you mean train"):
        pipeline.check_rule_names(["train", "trian"], split=[])
    with pytest.raises(UserError, match="unknown rule figures_part: did you mean figures"):
        pipeline.check_rule_names(["figures_part"], split=["detect"])


def test_before_jobs_run_leftovers_of_earlier_runs_are_removed(checkout: Path) -> None:
    leftovers = [checkout / ".snakemake" / name for name in ("parts/sample-0-of-2", "incomplete/x", "incomplete/y/z")]
    for leftover in leftovers:
        leftover.parent.mkdir(parents=True, exist_ok=True)
        leftover.touch()
    create(checkout, options=Options(runs_jobs=False)).decide()
    create(checkout, is_main=False).decide()
    assert all(leftover.exists() for leftover in leftovers)
    create(checkout).decide()
    assert not any(leftover.exists() for leftover in leftovers)
    assert (checkout / ".snakemake" / "incomplete").is_dir()


def test_a_stage_reads_and_writes_the_files_in_dvc_yaml(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_stale(monkeypatch, {})
    pipeline = create(checkout)
    pipeline.decide()
    assert pipeline.find_inputs("faces") == ["data/pictures.zip", "data/manifest.json", "data/detections.csv"]
    assert "data/faces/index.csv" in pipeline.find_outputs("faces")
    assert "results/loss.csv" in pipeline.find_outputs("train")
    assert pipeline.find_inputs("download") == ["data/checked.txt"]
    # `params` alone is stale: `download`, which depends on it, must not rerun.
    set_stale(monkeypatch, {"params": ["parameter lr changed"]})
    pipeline.decide()
    assert pipeline.find_inputs("download") == []


def test_only_a_stage_that_fans_out_has_markers_of_parts(checkout: Path) -> None:
    assert create(checkout).part_markers("sample") == []
    assert create(checkout, sample_jobs=3).part_markers("sample") == [
        f".snakemake/parts/sample-{part}-of-3" for part in range(3)
    ]


def write_logs(pipeline: Workflow) -> None:
    pipeline.logs.mkdir(parents=True)
    for name in ("sample.log", "sample-0-of-2.log", "sample-1-of-2.log", "sample.tsv", "train.log"):
        (pipeline.logs / name).write_text("".join(f"{name} line {number}\n" for number in range(LOG_LINES + 5)))


def test_logs_of_jobs_on_other_nodes_are_printed_under_dvc(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = create(checkout, stage="sample")
    write_logs(pipeline)
    pipeline.print_logs(lambda stage: stage != "sample")
    create(checkout).print_logs(lambda stage: True)
    assert capsys.readouterr().err == ""
    pipeline.print_logs(lambda stage: stage == "sample")
    printed = capsys.readouterr().err
    for name in ("sample.log", "sample-0-of-2.log", "sample-1-of-2.log"):
        assert f"{pipeline.logs / name}:\n{name} line 5\n" in printed
        assert f"{name} line {LOG_LINES + 4}\n" in printed and f"{name} line 4\n" not in printed
    assert "train.log" not in printed and "sample.tsv" not in printed


def test_a_new_run_of_a_stage_removes_its_logs_and_no_others(checkout: Path) -> None:
    pipeline = create(checkout, stage="sample")
    write_logs(pipeline)
    pipeline.decide()
    assert sorted(path.name for path in pipeline.logs.iterdir()) == ["sample.tsv", "train.log"]


def test_each_experiment_has_its_own_folder_of_logs_in_the_main_checkout(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert create(checkout).logs == checkout / ".dvc" / "tmp" / "omokage" / "logs" / "workspace"
    temporary = checkout / ".dvc" / "tmp" / "exps" / "tmpabc"
    temporary.mkdir(parents=True)
    shutil.copy2(checkout / "dvc.yaml", temporary)
    monkeypatch.chdir(temporary)
    monkeypatch.setenv("DVC_EXP_NAME", "size-2")
    assert create(temporary).logs == checkout / ".dvc" / "tmp" / "omokage" / "logs" / "size-2"
