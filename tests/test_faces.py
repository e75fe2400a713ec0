"""Faces: decoding, cropping, doubles, the split, and the stage as a whole."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

import animeface
import numpy as np
import pytest
from PIL import Image, ImageOps
from safetensors.numpy import load_file

from omokage.data import detect, shards
from omokage.data.curate import split
from omokage.data.decode import UnusableError, decode, upright_size
from omokage.data.faces import centre_square, face_square
from omokage.data.sightings import Detection
from omokage.errors import Refused
from omokage.job import Job
from omokage.params.detect import Params as DetectParams
from omokage.params.faces import Params
from omokage.stages import detect as detect_stage
from omokage.stages import faces

PARAMS: dict[str, Any] = {
    "image_size": 16,
    "crop_margin": 0.3,
    "crop_likelihood": 0.5,
    "faces_per_picture": 8,
    "min_side": 24,
    "near_duplicates": 0.0,
    "min_sharpness": 0.0,
    "min_contrast": 0.0,
    "min_colour": 0.0,
    "held_out": 0.4,
}
OUTPUTS = ("data/faces", "data/curation.csv", "data/card.safetensors", "results/faces.json")
RED, WHITE = (255, 0, 0), (255, 255, 255)


def encoded(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def noise(seed: int, width: int = 40, height: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def stages(
    out: Path,
    work: Path,
    threads: int = 1,
    crop: Literal["auto", "detect", "whole"] = "auto",
    jobs: int = 1,
    **changes: object,
) -> None:
    """Run detect and faces, each by so many jobs, on the pictures in `out`."""
    places = {
        name: out / Path(name).name
        for name in ("data/pictures.zip", "data/manifest.json", "data/sightings.csv", *OUTPUTS)
    }
    looking = Job(DetectParams(crop=crop), places, places, work / "detect", threads)
    cutting = Job(Params(**PARAMS | changes), places, places, work / "faces", threads)
    for stage, job in ((detect_stage, looking), (faces, cutting)):
        for part in range(jobs if jobs > 1 else 0):
            stage.part(job, part, jobs)
        stage.run(job)


def run(tmp_path: Path, pictures: dict[str, bytes], left_out: str = "", **how: Any) -> tuple[Path, Any, Any]:
    """Run detect and faces; return where their outputs lie, the fate of each face, and the counts."""
    out = tmp_path / f"out-{len(list(tmp_path.iterdir()))}"
    out.mkdir()
    with zipfile.ZipFile(out / "pictures.zip", "w") as file:
        for name, content in pictures.items():
            file.writestr(name, content)
    others = [{"name": left_out, "reason": "no picture"}] if left_out else []
    (out / "manifest.json").write_text(json.dumps({"left_out": others}))
    with tempfile.TemporaryDirectory() as work:
        stages(out, Path(work), **how)
    with (out / "curation.csv").open(encoding="utf-8", newline="") as table:
        return out, list(csv.DictReader(table)), json.loads((out / "faces.json").read_text())["faces"]


def index(out: Path) -> list[dict[str, str]]:
    with (out / "faces" / "index.csv").open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def test_decode_turns_a_photo_upright() -> None:
    picture = Image.new("RGB", (30, 20), WHITE)
    picture.paste(RED, (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera turned: left is up
    upright = decode(encoded(picture, "JPEG", exif=exif, quality=95))
    assert upright.size == (20, 30)
    np.testing.assert_allclose(upright.getpixel((10, 2)), RED, atol=8)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", [*range(10), 200])
def test_the_size_told_beforehand_is_that_of_the_decoded_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(noise(1, 54, 50), "JPEG", exif=exif)
    assert upright_size(content) == decode(content).size
    if orientation in range(1, 9):
        with Image.open(io.BytesIO(content)) as picture:
            np.testing.assert_array_equal(decode(content), ImageOps.exif_transpose(picture))


def test_decode_ignores_damaged_exif() -> None:
    content = encoded(Image.new("RGB", (30, 20), RED), "JPEG", exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xffjunk")
    assert decode(content).size == (30, 20)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1-bit transparency"])
def test_decode_puts_transparent_pictures_over_white(mode: str) -> None:
    picture = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 4, 8))
    if mode == "1-bit transparency":
        content = encoded(picture.convert("RGB").point(lambda value: value), transparency=(0, 0, 0))
        assert decode(content).getpixel((6, 6)) == WHITE
        return
    found = decode(encoded(picture.quantize() if mode == "P" else picture.convert(mode)))
    assert (found.getpixel((1, 1)), found.getpixel((6, 6))) == ((0, 0, 0), WHITE)


def test_decode_scales_16_bit_grey() -> None:
    grey = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    assert np.asarray(decode(encoded(Image.fromarray(grey))))[..., 0].tolist() == [[0, 100], [200, 255]]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_decode_knows_the_formats(format: str) -> None:
    found = decode(encoded(Image.new("RGB", (9, 7), RED), format))
    assert (found.mode, found.size) == ("RGB", (9, 7))
    np.testing.assert_allclose(found.getpixel((4, 3)), RED, atol=3)  # type: ignore[arg-type]


def test_decode_converts_cmyk() -> None:
    found = decode(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    np.testing.assert_allclose(found.getpixel((4, 4)), RED, atol=8)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"not a picture", "unknown format"),
        (b"", "unknown format"),
        (encoded(Image.new("RGB", (8, 8)), "TIFF"), "unknown format"),
        (encoded(noise(0))[:-2000], "broken"),
        (encoded(noise(0), "JPEG")[:500], "broken"),
        (encoded(Image.new("1", (8000, 8000))), "too large"),
        (encoded(Image.new("1", (20000, 20000))), "too large"),
    ],
    ids=["text", "empty", "tiff", "png", "jpeg", "large", "bomb"],
)
def test_decode_says_why_it_cannot(content: bytes, kind: str) -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(UnusableError) as caught:
            decode(content)
        assert caught.value.kind == kind
        reasons.add(str(caught.value))
    assert len(reasons) == 1  # no addresses of objects


def test_the_detector_finds_the_known_face_at_any_size() -> None:
    detect.check()
    drawn = detect.known_face()
    for side in (160, 400, 1600):
        (face,) = detect.detect(drawn.resize((side, side), Image.Resampling.LANCZOS))
        assert face.x == pytest.approx(side / 2, abs=0.05 * side)
        assert face.y == pytest.approx(0.67 * side, abs=0.07 * side)


def test_a_blind_detector_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animeface, "detect", lambda picture: [])  # what it does under Pillow 12
    pictures = {f"{seed}.png": encoded(noise(seed)) for seed in range(12)}
    with pytest.raises(Refused, match="needs Pillow 11"):
        run(tmp_path, pictures)
    assert run(tmp_path, pictures, crop="whole")[2]["kept"] == 12


def test_squares_stay_inside_the_picture() -> None:
    assert centre_square(50, 31) == (9, 0, 40, 31)
    inside = Detection(x=100, y=110, side=50, likelihood=1)
    assert face_square(inside, 0.5, 300, 200) == (50, 55, 150, 155)
    corner = Detection(x=280, y=20, side=50, likelihood=1)
    assert face_square(corner, 0.5, 300, 200) == (200, 0, 300, 100)
    assert face_square(inside, 2, 300, 200) == (0, 0, 200, 200)


def test_the_split_is_by_content_alone() -> None:
    hashes = [f"{number:064x}" for number in range(2**256 // 1000, 2**256, 2**256 // 1000)]
    held = [sha256 for sha256 in hashes if split(sha256, 0.15) == "held_out"]
    assert 0.14 < len(held) / len(hashes) < 0.16
    assert set(held) <= {sha256 for sha256 in hashes if split(sha256, 0.3) == "held_out"}


@pytest.fixture(scope="module")
def mixed() -> dict[str, bytes]:
    scene = Image.new("RGB", (400, 300), (120, 160, 200))
    scene.paste(detect.known_face(), (20, 100))
    scene.paste(detect.known_face().resize((120, 120)), (260, 20))
    small = {f"{seed}.png": encoded(noise(seed)) for seed in range(12)}
    return small | {
        "again.bmp": encoded(noise(3), "BMP"),
        "oblong.png": encoded(noise(20, 41, 38)),
        "scene.png": encoded(scene),
        "tiny.png": encoded(noise(21, 20, 20)),
        "thin.png": encoded(noise(22, 200, 20)),
        "landscape.png": encoded(Image.new("RGB", (400, 300), (120, 160, 200))),
        "cut.png": encoded(noise(23))[:-2000],
        "text.png": b"hello",
    }


def test_every_picture_has_a_fate(tmp_path: Path, mixed: dict[str, bytes]) -> None:
    out, fates, tally = run(tmp_path, mixed, left_out="b.txt")
    assert {row["picture"] for row in fates} == {*mixed, "b.txt"}
    reasons = {row["picture"]: row["reason"] for row in fates if row["fate"] == "dropped"}
    assert reasons == {
        "again.bmp": "duplicate of 3.png",
        "b.txt": "no picture",
        "cut.png": reasons["cut.png"],
        "landscape.png": "no face found",
        "text.png": "unknown format: not one of JPEG, PNG, WEBP, BMP, GIF",
        "thin.png": "too small: 20 pixels, expected 24",
        "tiny.png": "too small: 20 pixels, expected 24",
    }
    assert reasons["cut.png"].startswith("broken: ")
    assert tally["dropped"] == dict.fromkeys(tally["dropped"], 1) | {"too small": 2}
    assert set(tally["dropped"]) == {"broken", "duplicate", "left out", "no face found", "too small", "unknown format"}
    assert tally["kept"] == tally["train"] + tally["held_out"] == 15
    assert (tally["pictures"], tally["detected"], tally["whole"]) == (len(mixed), 2, 13)
    scene = [row for row in fates if row["picture"] == "scene.png"]
    assert [(row["face"], row["how"], row["width"], row["height"]) for row in scene] == [
        ("1", "detected", "400", "300"),
        ("2", "detected", "400", "300"),
    ]
    left, top, right, bottom = map(int, scene[0]["box"].split())
    assert right - left == bottom - top
    assert left < 320 < right
    assert top < 100 < bottom
    assert {row["box"] for row in fates if row["picture"] == "oblong.png"} == {"1 0 39 38"}
    for name in ("train", "held_out"):
        stored = shards.read(out / "faces", name)
        assert stored.shape == (tally[name], 3, 16, 16)
        assert [int(row["row"]) for row in index(out) if row["split"] == name] == list(range(tally[name]))


def test_rows_of_the_index_are_rows_of_the_shards(tmp_path: Path) -> None:
    pictures = {f"{shade:03d}.png": encoded(Image.new("RGB", (30, 30), (shade, 0, 9))) for shade in range(100, 120)}
    out, *_ = run(tmp_path, pictures)
    for row in index(out):
        face = shards.read(out / "faces", row["split"])[int(row["row"])]
        assert face[:, 5, 5].tolist() == [int(row["picture"].removesuffix(".png")), 0, 9]


def contents(out: Path) -> dict[str, bytes]:
    """What the stages wrote."""
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".zip"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_bytes_are_the_same_for_any_number_of_processes_and_jobs(tmp_path: Path, mixed: dict[str, bytes]) -> None:
    alone = contents(run(tmp_path, mixed)[0])
    assert len(alone) == 8
    assert contents(run(tmp_path, dict(reversed(mixed.items())), threads=2)[0]) == alone
    for jobs in (2, 5):
        assert contents(run(tmp_path, mixed, jobs=jobs)[0]) == alone


# Forks, since ten starts of torch would take long; from a process that has not used tqdm, whose lock forks share.
KILLED = """
import os, random, shutil, signal, sys
from pathlib import Path
from omokage.data.cuts import Cutter
from omokage.stages.detect import Looker
from test_faces import stages

out, chance = Path(sys.argv[1]), random.Random(0)

def die(make, at, moment):
    def dying(self, numbers, path):
        if numbers.start == at and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        make(self, numbers, path)
        if numbers.start == at:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
    return dying

for kill in range(10):
    child = os.fork()
    if child == 0:
        maker = Looker if kill < 5 else Cutter
        maker.__call__ = die(maker.__call__, 4 * (kill % 5) + chance.randrange(4), chance.choice(["before", "half"]))
        stages(out, out.parent / "work")
        os._exit(0)
    chance.random(), chance.random()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, kill
stages(out, out.parent / "work")
"""


def test_ten_kills_change_nothing(tmp_path: Path, mixed: dict[str, bytes]) -> None:
    whole = run(tmp_path, mixed)[0]
    out = tmp_path / "killed"
    out.mkdir()
    for name in ("pictures.zip", "manifest.json"):
        shutil.copy(whole / name, out)
    environment = {**os.environ, "PYTHONPATH": f"{Path(faces.__file__).parents[2]}:{Path(__file__).parent}"}
    subprocess.run([sys.executable, "-c", KILLED, str(out)], check=True, env=environment, timeout=120)
    assert contents(out) == contents(whole)


def test_a_picture_that_cannot_be_decoded_does_not_empty_the_contact_sheet(tmp_path: Path) -> None:
    pictures = {f"{seed}.png": encoded(noise(seed)) for seed in range(12)} | {"cut.png": encoded(noise(23))[:-2000]}
    assert len(load_file(run(tmp_path, pictures)[0] / "card.safetensors")["pictures"]) == 12


def test_more_pictures_move_no_old_face(tmp_path: Path) -> None:
    old = {f"m{seed}.png": encoded(noise(seed)) for seed in range(20)}
    more = old | {f"a{seed}.png": encoded(noise(seed)) for seed in range(15, 40)}
    before, after = ({row["sha256"]: row["split"] for row in index(run(tmp_path, some)[0])} for some in (old, more))
    assert before.items() <= after.items()
    assert len(after) == 40


def test_shrinking_does_not_alias(tmp_path: Path) -> None:
    stripes = np.zeros((240, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    pictures = {f"{seed}.png": encoded(noise(seed)) for seed in range(12)}
    pictures["stripes.png"] = encoded(Image.fromarray(stripes))
    out, *_ = run(tmp_path, pictures)
    (row,) = (row for row in index(out) if row["picture"] == "stripes.png")
    face = shards.read(out / "faces", row["split"])[int(row["row"])].float()
    assert (face - 127.5).abs().max() < 4


def test_too_few_faces_are_refused(tmp_path: Path) -> None:
    pictures = {"a.png": encoded(noise(0)), "b.png": b"hello", "c.png": encoded(noise(0, 10, 10))}
    with pytest.raises(Refused, match=r"dropped: 1 too small, 1 unknown format.*crop: whole"):
        run(tmp_path, pictures)
