"""The sections that describe a run: they follow its values, and every choice of a parameter has words."""

import csv
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest
from support.clone import ROOT
from support.fixtures import NETWORK
from support.report_fixtures import GOOD_RUN, make_denoising_frames
from support.report_records import DEFAULTS, FACTS, MANIFEST, list_texts, make_records, read_rows

from omokage.params import download, faces, sample, schedule, train
from omokage.report.content import BulletList
from omokage.report.data_section import describe_data
from omokage.report.evidence import Evidence
from omokage.report.memorisation import MISSED
from omokage.report.model_section import describe_model, summarise_model, tabulate_network
from omokage.report.objective_settings import MEASURED_SHIFTS, tabulate_objective
from omokage.report.run import TRIALS, Duration, LossRow
from omokage.report.run_section import describe_run, tabulate_stages
from omokage.report.sections import describe_forward_process
from omokage.report.settings import merge_params
from omokage.report.solved_problems import tabulate_solved_problems
from omokage.report.study_section import describe_study, tabulate_trials
from omokage.report.tables import Table
from omokage.report.training_loss import judge_training
from omokage.report.training_settings import (
    BATCH_SIZES,
    HALF_SIZE_GAIN,
    LENGTH,
    RATES,
    describe_evaluations,
    tabulate_sampling,
    tabulate_training,
)
from omokage.report.trials import group_trials
from omokage.sampling.samplers import count_timesteps


def get_choices(params: type[Any], key: str) -> tuple[Any, ...]:
    return get_args(params.model_fields[key].annotation)


def test_every_choice_of_a_parameter_has_words() -> None:
    for key, params in (
        ("prediction", train.Params),
        ("loss_weighting", train.Params),
        ("schedule", schedule.ScheduleParams),
    ):
        rows = [str(list_texts([tabulate_objective({**DEFAULTS, key: value})])) for value in get_choices(params, key)]
        assert len({*rows}) == len(rows) > 1
    for prediction, side, zero_snr in product(get_choices(train.Params, "prediction"), (32, 64, 256), (True, False)):
        tabulate_objective({**DEFAULTS, "prediction": prediction, "image_size": side, "zero_snr": zero_snr})
    for optimiser in get_choices(train.Params, "optimiser"):
        assert tabulate_training({**DEFAULTS, "optimiser": optimiser}, FACTS, 100).rows
    choices = [get_choices(sample.Params, key) for key in ("sampler", "timestep_spacing", "ema_kind")]
    tables = [
        tabulate_sampling({**DEFAULTS, "sampler": sampler, "timestep_spacing": spacing, "ema_kind": kind})
        for sampler, spacing, kind in product(*choices)
    ]
    assert len({str(table) for table in tables}) == len(tables) > 20
    for source, crop in product(get_args(download.Source), ("auto", "detect", "whole")):
        for copies in get_choices(faces.Params, "copies"):
            describe_data(GOOD_RUN, make_records(crop=crop, copies=copies), {**MANIFEST, "source": source})


def test_the_reasons_are_true_for_the_values_of_the_run() -> None:
    def explain(key: str, **changes: Any) -> list[str]:
        return read_rows(tabulate_objective({**DEFAULTS, **changes}))[key]

    shift = "shift of the log-SNR"
    assert "a smaller image needs less noise" in explain(shift, image_size=32, log_snr_shift=1.4)[1]
    assert "a larger image needs more noise" in explain(shift, image_size=128, log_snr_shift=-1.4)[1]
    assert explain(shift, image_size=64, log_snr_shift=0.0) == ["none", "the schedules were made for 64 pixels"]
    assert "differs from 2 ln(64 / 32) = 1.39" in explain(shift, image_size=32, log_snr_shift=0.0)[1]
    assert "55.9 to 50.3" in explain(shift, image_size=64, log_snr_shift=0.7)[1]
    assert "measured" not in explain(shift, image_size=64, log_snr_shift=0.9)[1]
    assert "minimum loss weight" not in read_rows(tabulate_objective({**DEFAULTS, "loss_weighting": "simple"}))
    assert explain("minimum loss weight", loss_weight_floor=0.0) == ["0", ""]
    assert explain("last timestep", zero_snr=True)[0] == "pure noise"
    rate = read_rows(tabulate_training({**DEFAULTS, "warmup": 0.0, "decay": 0.0}, FACTS, 100))["learning rate"]
    assert rate[0] == "0.006, constant" and "0.0035 and 0.006 gave distances" in rate[1]
    alone, guided, limited = (
        read_rows(tabulate_sampling({**DEFAULTS, "guidance_scale": scale, "guidance_min_log_snr": log_snr}))
        for scale, log_snr in ((1.0, -100.0), (2.5, -100.0), (2.5, -3.0))
    )
    assert alone["autoguidance"][0] == "none" and "guiding" not in alone["network evaluations (NFE)"][0]
    assert guided["autoguidance"][0] == "scale 2.5" and "guiding" in guided["network evaluations (NFE)"][0]
    assert limited["autoguidance"][0] == "scale 2.5, at a log-SNR of at least -3"
    assert (
        "where the autoguidance applies, one of the guiding model: at most 40 in all"
        in limited["network evaluations (NFE)"][0]
    )


@pytest.mark.parametrize(
    ("sampler", "scale", "evaluations", "words"),
    [
        ("ddpm", 1.0, 20, "20 steps, each with one evaluation of the network"),
        (
            "ddpm",
            2.0,
            20,
            "20 steps, each with one evaluation of the network and one of the guiding model: 40 in all",
        ),
        (
            "heun",
            1.0,
            20,
            "10 steps, each with two evaluations (the last: one) of the network: 19 in all",
        ),
    ],
)
def test_evaluations_are_those_of_the_sampler(sampler: str, scale: float, evaluations: int, words: str) -> None:
    params = {**DEFAULTS, "sampler": sampler, "guidance_scale": scale, "sample_steps": evaluations}
    params["guidance_min_log_snr"] = -100.0
    assert describe_evaluations(params) == words
    network = evaluations if sampler != "heun" else 19
    assert count_timesteps(sampler, evaluations) == int(words.split()[0])
    assert str(network * (2 if scale > 1 else 1)) in words


def test_the_section_on_the_model_describes_the_recorded_network() -> None:
    heading, blocks = describe_model(make_records())
    assert (heading, blocks[1]) == ("Model", "architecture")
    text = " ".join(list_texts(blocks))
    assert "folded into patches of 2 × 2 pixels, so the UNet works on 4 × 4 positions" in text
    assert "Self-attention at 4 × 4" in text and "higher resolutions have none" not in text
    table = tabulate_network(NETWORK)
    assert [row[0].text for row in table.rows][2:5] == ["encoder, level 1", "middle", "decoder, level 1"]
    assert sum(float(row[5].sort_key or 0) for row in table.rows) == FACTS["parameters"]
    # The same without a patch stem and without attention.
    plain = [{**part, "side": min(part["side"], 4), "heads": 0} for part in NETWORK if part["kind"] != "finish"]
    text = " ".join(list_texts(describe_model(make_records({**FACTS, "network": plain}))[1]))
    assert "works on every pixel of the 4 × 4 image" in text and "no self-attention" in text


def test_the_section_on_the_data_follows_the_counts_and_parameters() -> None:
    run = replace(GOOD_RUN, faces={**GOOD_RUN.faces, "detected": 9, "dropped": {"blurred": 3}})
    _, blocks = describe_data(run, make_records(min_sharpness=50.0, flip=True, copies="auto"), MANIFEST)
    steps = next(read_rows(block) for block in blocks if isinstance(block, Table))
    assert steps["quality"] == ["sharpness of at least 50", "blurred faces are dropped"]
    assert steps["copies"][0] == "the same drawing, also with small changes"
    assert steps["augmentation"][0] == "mirrored at random" and "crop" in steps
    assert "means 0.500, 0.400 and 0.300" in steps["normalisation"][0]
    assert "10 % of the faces are" in " ".join(list_texts(blocks))
    assert "licence of these images is unknown" in " ".join(list_texts(blocks))
    licence = dict.fromkeys(("title", "author", "url", "licence", "licence_url"), "x")
    avatars = {**MANIFEST, "source": "avatars", "licences": [licence]}
    _, blocks = describe_data(GOOD_RUN, make_records(crop="whole"), avatars)
    assert any(isinstance(block, BulletList) for block in blocks) and "No face was dropped." in blocks
    steps = next(read_rows(block) for block in blocks if isinstance(block, Table))
    assert steps["copies"][0] == "no visible difference" and "crop" not in steps and "quality" not in steps


def test_times_that_are_unknown_are_called_so() -> None:
    records = make_records(steps=10, batch_size=20)
    _, blocks = describe_run(replace(GOOD_RUN, duration=Duration("cpu")), records)
    text = " ".join(list_texts(blocks))
    assert "The times of the stages are unknown" in text and "per second" not in text
    seconds = {"train": 100.0, "sample": 50.0}
    _, blocks = describe_run(replace(GOOD_RUN, duration=Duration("cpu", by_stage=seconds)), records)
    text = " ".join(list_texts(blocks))
    assert f"took 2 min 30 s together, without {len(records) - 2} stages." in text
    assert "200 images in 1 min 40 s, which is 2 images per second" in text
    assert "500 images in 50 s, which is 10 images per second. They are 500 samples of this run." in text
    progress = [{"step": "5", "n": "64"}, {"step": "10", "n": "64"}]
    run = replace(GOOD_RUN, duration=Duration("cpu", by_stage=seconds), progress=progress)
    text = " ".join(list_texts(describe_run(run, make_records(samples=300))[1]))
    assert "Of these, 428 were kept: 300 samples of this run and 128 for the scores during training." in text
    rows = read_rows(tabulate_stages(records, seconds))
    assert rows["train"] == ["1 min 40 s", "67 %", "cpu", "2", "float32"] and rows["faces"][0] == "unknown"
    packages = next(block for block in blocks if isinstance(block, Table) and block.caption == "Packages")
    assert read_rows(packages)["numpy"] == ["2.0"]


def make_trial(schedule: str, prediction: str, lr: float, distance: float, seed: int | None = None) -> dict[str, str]:
    """Return a row of the study whose interval is the distance plus and minus 2; without `seed` it lacks the column."""
    values = {"schedule": schedule, "prediction": prediction, "lr": lr, "steps": 400, "samples": 200}
    values |= {"source": "avatars", "image_size": 32, "optimiser": "muon", "batch_size": 32}
    scores = {"distance": distance, "distance_low": distance - 2, "distance_high": distance + 2, "distance_floor": 20}
    others = {"kid": 0.1, "precision": 0.2, "recall": 0.3, "train.seconds": 70.0}
    row = {**values, **scores, **others} | ({} if seed is None else {"seed": seed})
    return {key: str(value) for key, value in row.items()}


def read_study(rows: list[dict[str, str]], **params: Any) -> str:
    _, blocks = describe_study(replace(GOOD_RUN, trials=rows), make_records(**params))
    return " ".join(list_texts([block for block in blocks if isinstance(block, str)]))


def test_a_difference_within_the_intervals_is_not_called_clear() -> None:
    rows = [
        make_trial("cosine", "v", 0.001, 50),
        make_trial("linear", "v", 0.001, 53),
        make_trial("linear", "eps", 0.001, 90),
    ]
    text = read_study(rows)
    assert "Of the other 2 rows, 1 are not clearly worse than the best." in text
    assert "What it teaches: prediction v is better than eps, by 37 (mean" in text and "schedule cosine is" not in text
    assert "one training, so the study does not show how much another seed changes" in text
    # The same with the seeds of one row 40 apart: no difference of less is clear.
    text = read_study([*rows, make_trial("cosine", "v", 0.001, 90, seed=1)])
    assert "larger than 40, the largest difference between runs that differ only in the seed" in text
    assert "no value of a parameter is clearly better" in text


def test_rows_are_averaged_over_seeds_and_sorted() -> None:
    rows = [
        make_trial("cosine", "v", 0.001, 60),
        *(make_trial("cosine", "v", 0.004, value, value) for value in (40, 50)),
    ]
    trials = group_trials(rows)
    assert [(trial.seeds, trial.distance, trial.low, trial.high) for trial in trials] == [
        (2, 45, 38, 52),
        (1, 60, 58, 62),
    ]
    table = tabulate_trials(trials)
    assert [(row[3].text, row[-1].text) for row in table.rows] == [("45 (best)", "2"), ("60", "1")]
    assert "Real faces have a distance of 20" in read_study(rows)


def test_the_best_learning_rate_at_the_end_of_the_range_is_called_so() -> None:
    rates = {0.001: 60, 0.002: 40, 0.004: 50}
    middle = read_study([make_trial("cosine", "v", rate, distance) for rate, distance in rates.items()])
    assert "The best learning rate for v is 0.002." in middle
    end = read_study([make_trial("cosine", "v", rate, distance) for rate, distance in rates.items() if rate != 0.002])
    assert "The best learning rate for v is 0.004, the highest that was tried" in end


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"prediction": "v", "lr": 0.004}, "as row 1 of 2 in the table. Other settings of the study differ"),
        (
            {"prediction": "v", "lr": 0.003},
            "a combination that the study does not contain; its learning rates are 0.001 and 0.004.",
        ),
        ({"prediction": "x0", "lr": 0.004}, "a combination that the study does not contain;"),
    ],
)
def test_the_study_says_where_the_parameters_of_the_run_stand(params: dict[str, Any], words: str) -> None:
    rows = [make_trial("cosine", "v", 0.004, 50), make_trial("cosine", "v", 0.001, 60)]
    assert words in read_study(rows, schedule="cosine", **params)


def test_the_study_names_all_settings_that_differ_in_the_run() -> None:
    rows = [make_trial("cosine", "v", 0.004, 50)]
    assert "with source avatars and an image size of 32 pixels" in read_study(rows)
    same: dict[str, Any] = {"image_size": 32, "batch_size": 32, "steps": 400}
    assert "Other settings" not in read_study(rows, **same)
    for changes, words in (
        ({"batch_size": 128}, "batch size 32 instead of 128"),
        ({"image_size": 64, "steps": 4000}, "image size 32 instead of 64, steps 400 instead of 4000"),
        ({"optimiser": "adamw"}, "optimiser muon instead of adamw"),
        ({"source": "kaggle"}, "source avatars instead of kaggle"),
    ):
        assert f"so its order may not hold here: {words}." in read_study(rows, **same | changes)


def test_the_study_says_which_combinations_ran_with_which_seeds() -> None:
    rows = [make_trial("cosine", "v", 0.004, 50, seed) for seed in (0, 1, 2)]
    rows += [make_trial(schedule, "v", 0.001, 60, 0) for schedule in ("cosine", "linear")]
    assert "Of the 3 combinations, 2 ran with seed 0 and 1 ran with seeds 0, 1 and 2." in read_study(rows)


def test_the_committed_study_can_be_described() -> None:
    with Path(ROOT / TRIALS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    trials = group_trials(rows)
    assert sum(trial.seeds for trial in trials) == len(rows) > 1
    assert "belongs to the project, not to this run" in read_study(rows)


def test_the_summary_names_the_model_the_data_and_the_training() -> None:
    records = make_records({**FACTS, "parameters": 2_597_235}, image_size=32, steps=1200)
    text = summarise_model(records, MANIFEST, GOOD_RUN.faces, Duration("cpu", training=210.0))
    assert text.replace("\u00a0", " ") == (
        "A diffusion model (UNet, 2.6 M parameters) was trained on 45,000 faces of 32 × 32 pixels (Mine) for "
        "1,200 steps in 3 min 30 s on cpu."
    )
    assert "for 1,200 steps on cpu." in summarise_model(records, MANIFEST, GOOD_RUN.faces, Duration("cpu"))


def test_steps_at_half_the_size_are_named_wherever_the_training_is_described() -> None:
    sizes: dict[str, Any] = {"image_size": 64, "batch_size": 16, "half_size_steps": 1200, "steps": 4000}
    facts = {**FACTS, "half_size_images": 38_400}
    records = make_records(facts, **sizes)
    rows = [LossRow(600, 0.9), LossRow(1200, 0.15)]
    duration = Duration("cpu", by_stage={"train": 100.0})
    run = replace(GOOD_RUN, half_size_losses=rows, half_size_images=38_400, duration=duration)
    summary = summarise_model(records, MANIFEST, run.faces, Duration("cpu"))
    assert "for 4,000 steps, after 1,200 steps at half the size, on cpu." in summary
    paragraphs = " ".join(judge_training(run).paragraphs)
    assert "for 1,200 steps (38,400 images) at half the image size" in paragraphs
    assert "The loss fell from 0.9 to 0.15." in paragraphs
    short = " ".join(judge_training(replace(run, half_size_losses=rows[:1])).paragraphs)
    assert "for 600 steps" in short and "from 0.9 to" not in short
    assert "38,400 images at half the size and then through 64,000" in " ".join(
        list_texts(describe_run(run, records)[1])
    )
    value, reason = read_rows(tabulate_training({**DEFAULTS, **sizes}, facts, 100))["steps at half the size"]
    assert value.startswith("before these: 1,200 steps, 38,400 images of 32 × 32 pixels") and HALF_SIZE_GAIN in reason
    # Runs without such steps, also of older versions, do not mention them.
    assert "half the size" not in summarise_model(make_records(**sizes), MANIFEST, run.faces, Duration("cpu"))
    assert "half the" not in " ".join(judge_training(GOOD_RUN).paragraphs)


def test_the_forward_process_names_the_schedule_and_its_timesteps() -> None:
    evidence = Evidence.collect(GOOD_RUN, make_records(schedule="linear", timesteps=500), make_denoising_frames(1, 6))
    text = " ".join(list_texts(describe_forward_process(evidence)[1]))
    assert text.endswith("The schedule of this run is linear, with 500 timesteps.")


def test_the_problems_solved_earlier_have_the_numbers_of_the_ablation() -> None:
    ablation = (ROOT / "docs/ablation.md").read_text()
    rows = tabulate_solved_problems().rows
    numbers = [number for row in rows for number in re.findall(r"\d+\.\d", row[-1].text)]
    assert len(numbers) >= 2 * len(rows)
    # The reasons of settings that quote it.
    shift = MEASURED_SHIFTS[64][1]
    numbers += re.findall(r"\d+\.\d\b", f"{shift} {RATES['muon']} {BATCH_SIZES[64, 16]} {LENGTH} {HALF_SIZE_GAIN}")
    assert {"26.6", "99.7", "35.7", "35.8", "23.8"} < {*numbers}
    assert [number for number in numbers if not re.search(rf"\b{re.escape(number)}\b", ablation)] == []


def test_the_shares_of_changed_copies_are_those_of_the_benchmark() -> None:
    benchmark = (ROOT / "docs/benchmarks.md").read_text()
    shares: list[str] = []
    for kind in ("shifted by 2 pixels, right and down", "JPEG quality 60"):
        (row,) = re.findall(rf"^\| {kind} \|((?:[^|]+\|){{4}})$", benchmark, re.M)
        shares += re.findall(r"[\d.]+ %", row)[1::2]
    assert re.findall(r"[\d.]+ %", MISSED.replace("\u00a0", " ")) == shares


def test_the_path_of_the_users_images_is_no_parameter_of_the_page() -> None:
    records = make_records(folder="../secret/mine")
    assert "folder" not in merge_params(records)
