"""The stages detect and faces: decoding, detection, cropping, duplicates and the split."""

import io
import os
import shutil
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import animeface
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from safetensors.numpy import load_file
from support.clone import PYTHON_PATH
from support.images import encode_image, random_image, read_index, run_faces

from omokage.base.errors import UserError
from omokage.data import shards, text_arrays
from omokage.data.curation import outcomes
from omokage.data.curation.curate import CurationDecision, FaceRecord
from omokage.data.curation.data_card import choose_examples
from omokage.data.curation.face_cropper import FaceCrop, centre_square, face_square
from omokage.data.curation.splits import choose_split
from omokage.data.detection.drawn_face import draw_test_face
from omokage.data.detection.table import Detection
from omokage.data.images.decode import UnusableImageError, decode_image, read_upright_size

RED, WHITE = (255, 0, 0), (255, 255, 255)


def test_decode_turns_a_photo_upright() -> None:
    image = Image.new("RGB", (30, 20), WHITE)
    image.paste(RED, (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: left is up
    upright = decode_image(encode_image(image, "JPEG", exif=exif, quality=95))
    assert upright.size == (20, 30)
    np.testing.assert_allclose(upright.getpixel((10, 2)), RED, atol=8)  # type: ignore[arg-type]


@pytest.mark.parametrize("orientation", [*range(10), 200])
def test_the_size_read_from_the_header_is_that_of_the_decoded_image(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encode_image(random_image(1, 54, 50), "JPEG", exif=exif)
    assert read_upright_size(content) == decode_image(content).size
    if orientation in range(1, 9):
        with Image.open(io.BytesIO(content)) as image:
            np.testing.assert_array_equal(decode_image(content), ImageOps.exif_transpose(image))


def test_decode_ignores_damaged_exif() -> None:
    content = encode_image(Image.new("RGB", (30, 20), RED), "JPEG", exif=b"Exif\0\0MM\0\x2a\0\0\0\x08\xff\xffjunk")
    assert decode_image(content).size == (30, 20)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1-bit transparency"])
def test_decode_puts_transparent_images_over_white(mode: str) -> None:
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    if mode == "1-bit transparency":
        content = encode_image(image.convert("RGB").point(lambda value: value), transparency=(0, 0, 0))
        assert decode_image(content).getpixel((6, 6)) == WHITE
        return
    decoded = decode_image(encode_image(image.quantize() if mode == "P" else image.convert(mode)))
    assert (decoded.getpixel((1, 1)), decoded.getpixel((6, 6))) == ((0, 0, 0), WHITE)


def test_decode_scales_16_bit_grey() -> None:
    grey = np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)
    assert np.asarray(decode_image(encode_image(Image.fromarray(grey))))[..., 0].tolist() == [[0, 100], [200, 255]]


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF", "MPO"])
def test_decode_reads_every_format(format: str) -> None:
    decoded = decode_image(encode_image(Image.new("RGB", (9, 7), RED), format))
    assert (decoded.mode, decoded.size) == ("RGB", (9, 7))
    np.testing.assert_allclose(decoded.getpixel((4, 3)), RED, atol=3)  # type: ignore[arg-type]


def test_decode_converts_cmyk() -> None:
    decoded = decode_image(encode_image(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    np.testing.assert_allclose(decoded.getpixel((4, 4)), RED, atol=8)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"not an image", "unknown format"),
        (b"", "unknown format"),
        (encode_image(Image.new("RGB", (8, 8)), "JPEG2000"), "unknown format"),
        (encode_image(random_image(0))[:-2000], "broken"),
        (encode_image(random_image(0), "JPEG")[:500], "broken"),
        (encode_image(Image.new("1", (8000, 8000))), "too large"),
        (encode_image(Image.new("1", (20000, 20000))), "too large"),
    ],
    ids=["text", "empty", "jpeg 2000", "png", "jpeg", "large", "bomb"],
)
def test_decode_gives_the_same_reason_for_the_same_unusable_bytes(content: bytes, kind: str) -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(UnusableImageError) as caught:
            decode_image(content)
        assert caught.value.kind == kind
        reasons.add(str(caught.value))
    assert len(reasons) == 1  # it contains no addresses of objects


def test_a_detector_that_finds_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animeface, "detect", lambda image: [])  # as under Pillow 12
    images = {f"{seed}.png": encode_image(random_image(seed)) for seed in range(12)}
    with pytest.raises(UserError, match="needs Pillow 11"):
        run_faces(tmp_path, images)
    assert run_faces(tmp_path, images, crop="whole")[2]["kept"] == 12


def test_face_squares_stay_inside_the_image() -> None:
    assert centre_square(50, 31) == (9, 0, 40, 31)
    inside = Detection(x=100, y=110, side=50, likelihood=1)
    assert face_square(inside, 0.5, 300, 200) == (50, 55, 150, 155)
    corner = Detection(x=280, y=20, side=50, likelihood=1)
    assert face_square(corner, 0.5, 300, 200) == (200, 0, 300, 100)
    assert face_square(inside, 2, 300, 200) == (0, 0, 200, 200)


def test_the_split_depends_on_the_hash_alone() -> None:
    hashes = [f"{number:064x}" for number in range(2**256 // 1000, 2**256, 2**256 // 1000)]
    held_out = [sha256 for sha256 in hashes if choose_split(sha256, 0.15) == "held_out"]
    assert 0.14 < len(held_out) / len(hashes) < 0.16
    assert set(held_out) <= {sha256 for sha256 in hashes if choose_split(sha256, 0.3) == "held_out"}


@pytest.fixture(scope="module")
def images() -> dict[str, bytes]:
    """Return 20 image files with one or more faces, without a face, damaged, or duplicates of others."""
    scene = Image.new("RGB", (400, 300), (120, 160, 200))
    scene.paste(draw_test_face(), (20, 100))
    scene.paste(draw_test_face().resize((120, 120)), (260, 20))
    small = {f"{seed}.png": encode_image(random_image(seed)) for seed in range(12)}
    return small | {
        "again.bmp": encode_image(random_image(3), "BMP"),
        "oblong.png": encode_image(random_image(20, 41, 38)),
        "scene.png": encode_image(scene),
        "tiny.png": encode_image(random_image(21, 20, 20)),
        "thin.png": encode_image(random_image(22, 200, 20)),
        "landscape.png": encode_image(Image.new("RGB", (400, 300), (120, 160, 200))),
        "cut.png": encode_image(random_image(23))[:-2000],
        "text.png": b"hello",
    }


def test_the_curation_table_has_a_decision_for_every_file(tmp_path: Path, images: dict[str, bytes]) -> None:
    out, rows, counts = run_faces(tmp_path, images, skipped="b.txt")
    assert {row["picture"] for row in rows} == {*images, "b.txt"}
    reasons = {row["picture"]: row["reason"] for row in rows if row["fate"] == "dropped"}
    assert reasons == {
        "again.bmp": "duplicate of 3.png",
        "b.txt": "not an image: text",
        "cut.png": reasons["cut.png"],
        "landscape.png": "no face found",
        "text.png": "unknown format: expected JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF or MPO",
        "thin.png": "too small: 20 pixels, expected 24",
        "tiny.png": "too small: 20 pixels, expected 24",
    }
    assert reasons["cut.png"].startswith("broken: ")
    assert counts["dropped"] == dict.fromkeys(counts["dropped"], 1) | {"too small": 2}
    assert set(counts["dropped"]) == {"broken", "duplicate", "no face found", "too small", "unknown format"}
    assert (counts["files"], counts["left_out"]) == (len(images) + 1, 1)
    assert [counts[f"pictures_{fate}"] for fate in ("kept", "repeated", "dropped")] == [14, 1, 5]
    assert counts["kept"] == counts["train"] + counts["held_out"] == 15
    assert (counts["pictures"], counts["detected"], counts["whole"]) == (len(images), 2, 13)
    scene = [row for row in rows if row["picture"] == "scene.png"]
    assert [(row["face"], row["how"], row["width"], row["height"]) for row in scene] == [
        ("1", "detected", "400", "300"),
        ("2", "detected", "400", "300"),
    ]
    left, top, right, bottom = map(int, scene[0]["box"].split())
    assert right - left == bottom - top
    assert left < 320 < right
    assert top < 100 < bottom
    assert {row["box"] for row in rows if row["picture"] == "oblong.png"} == {"1 0 39 38"}
    for name in ("train", "held_out"):
        stored = shards.read_faces(out / "faces", name)
        assert stored.shape == (counts[name], 3, 16, 16)
        assert [int(row["row"]) for row in read_index(out) if row["split"] == name] == list(range(counts[name]))


def test_rows_of_the_index_are_rows_of_the_shards(tmp_path: Path) -> None:
    shades = {f"{shade:03d}.png": encode_image(Image.new("RGB", (30, 30), (shade, 0, 9))) for shade in range(100, 120)}
    out, *_ = run_faces(tmp_path, shades)
    for row in read_index(out):
        face = shards.read_faces(out / "faces", row["split"])[int(row["row"])]
        assert face[:, 5, 5].tolist() == [int(row["picture"].removesuffix(".png")), 0, 9]


def read_files(out: Path) -> dict[str, bytes]:
    """Return the outputs of the stages by path."""
    files = [path for path in out.rglob("*") if path.is_file() and path.suffix != ".zip"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_bytes_are_the_same_for_any_number_of_processes_and_jobs(tmp_path: Path, images: dict[str, bytes]) -> None:
    alone = read_files(run_faces(tmp_path, images)[0])
    assert len(alone) == 9
    assert read_files(run_faces(tmp_path, dict(reversed(images.items())), threads=2)[0]) == alone
    for jobs in (2, 5):
        assert read_files(run_faces(tmp_path, images, jobs=jobs)[0]) == alone


def test_processes_that_crop_faces_do_not_load_torch() -> None:
    code = "import sys, omokage.data.curation.crop_files; print('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": PYTHON_PATH}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"  # it would take three seconds and half a GiB for each process


def test_ten_kills_change_nothing(tmp_path: Path, images: dict[str, bytes]) -> None:
    expected = run_faces(tmp_path, images)[0]
    out = tmp_path / "killed"
    out.mkdir()
    for name in ("pictures.zip", "manifest.json"):
        shutil.copy(expected / name, out)
    environment = {**os.environ, "PYTHONPATH": PYTHON_PATH}
    command = [sys.executable, "-m", "support.killed_stages", str(out)]
    subprocess.run(command, check=True, env=environment, timeout=120)
    assert read_files(out) == read_files(expected)


def test_an_image_that_cannot_be_decoded_does_not_empty_the_data_card(tmp_path: Path) -> None:
    images = {f"{seed}.png": encode_image(random_image(seed)) for seed in range(12)} | {
        "cut.png": encode_image(random_image(23))[:-2000]
    }
    assert len(load_file(run_faces(tmp_path, images)[0] / "card.safetensors")["pictures"]) == 12


def test_the_data_card_shows_an_example_of_every_reason(tmp_path: Path) -> None:
    images = {f"{seed:02d}.png": encode_image(random_image(seed)) for seed in range(12)}
    images |= {f"small-{seed:02d}.png": encode_image(random_image(seed, 20, 20)) for seed in range(100, 160)}
    drawing = draw_test_face().resize((90, 90))
    images |= {"drawing.png": encode_image(drawing), "smaller.jpg": encode_image(drawing.resize((60, 60)), "JPEG")}
    out, _, counts = run_faces(tmp_path, images, crop="whole", copies="lenient")
    assert counts["dropped"] == {"copy": 1, "too small": 60}
    kinds = text_arrays.decode(load_file(out / "card.safetensors")["kinds"])
    assert sorted(kinds) == ["copy"] + ["too small"] * 11


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=15), max_count=st.integers(1, 20))
def test_examples_show_every_group_and_as_many_as_fit(sizes: list[int], max_count: int) -> None:
    members = {f"{number}": [f"{number}/{item}" for item in range(size)] for number, size in enumerate(sizes)}
    chosen = choose_examples(members, max_count)
    shown = [item for items in chosen.values() for item in items]
    assert len(shown) == len(set(shown)) == min(max_count, sum(sizes))
    assert len(chosen) == min(max_count, len(sizes))
    assert all(set(items) <= set(members[name]) for name, items in chosen.items())
    counts = {name: len(chosen.get(name, [])) for name in members}
    for large, small in combinations(sorted(members, key=lambda name: -len(members[name])), 2):
        assert counts[large] >= counts[small] or len(members[large]) == len(members[small])


def test_additional_images_do_not_change_the_split_of_others(tmp_path: Path) -> None:
    old = {f"m{seed}.png": encode_image(random_image(seed)) for seed in range(20)}
    more = old | {f"a{seed}.png": encode_image(random_image(seed)) for seed in range(15, 40)}
    before, after = (
        {row["sha256"]: row["split"] for row in read_index(run_faces(tmp_path, images)[0])} for images in (old, more)
    )
    assert before.items() <= after.items()
    assert len(after) == 40


def test_downscaling_does_not_alias(tmp_path: Path) -> None:
    stripes = np.zeros((240, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    images = {f"{seed}.png": encode_image(random_image(seed)) for seed in range(12)}
    images["stripes.png"] = encode_image(Image.fromarray(stripes))
    out, *_ = run_faces(tmp_path, images)
    (row,) = (row for row in read_index(out) if row["picture"] == "stripes.png")
    face = shards.read_faces(out / "faces", row["split"])[int(row["row"])].float()
    assert (face - 127.5).abs().max() < 4


def test_faces_beyond_the_maximum_have_a_row(tmp_path: Path, images: dict[str, bytes]) -> None:
    *_, rows, counts = run_faces(tmp_path, images, faces_per_picture=1)
    scene = {row["face"]: row for row in rows if row["picture"] == "scene.png"}
    assert sorted((row["fate"], row["reason"]) for row in scene.values()) == [
        ("dropped", "surplus: not among the 1 likeliest faces of the image"),
        ("kept", ""),
    ]
    assert all(row["box"] for row in scene.values())
    assert counts["dropped"]["surplus"] == 1
    assert counts["pictures_kept"] == 14


NAMES = st.text("ab", min_size=1, max_size=2)
KINDS = st.sampled_from(["", "duplicate", "copy", "near-duplicate", "too small", "surplus", "broken"])


@settings(max_examples=200, derandomize=True)
@given(faces=st.lists(st.tuples(NAMES, KINDS, st.booleans())), left_out=st.sets(NAMES))
def test_counts_add_up_to_the_files_and_faces(faces: list[tuple[str, str, bool]], left_out: set[str]) -> None:
    records = [FaceRecord(FaceCrop(name, 1, method="whole"), "", "") for name, *_ in faces]
    records += [FaceRecord(FaceCrop(name, 0), "", "") for name in left_out]
    decisions = [CurationDecision(kind) for _, kind, _ in faces] + [CurationDecision("left out")] * len(left_out)
    splits = ["" if kind else "train" if is_train else "held_out" for _, kind, is_train in faces]
    counts = outcomes.count_outcomes(records, decisions, splits + [""] * len(left_out))
    images = len({name for name, *_ in faces})
    assert counts["files"] == images + len(left_out)
    manifest = {"count": images, "left_out": [{"may_be_image": False}] * len(left_out)}
    outcomes.check_sums(counts, manifest, len(records))
    for wrong in ({"count": images + 1}, {"left_out": [{"may_be_image": True}]}):
        with pytest.raises(RuntimeError, match="do not add up"):
            outcomes.check_sums(counts, manifest | wrong, len(records))
    with pytest.raises(RuntimeError, match="do not add up"):
        outcomes.check_sums(counts, manifest, len(records) + 1)


def make_small_images(small: int, total: int, repeats: int = 0) -> dict[str, bytes]:
    """Return `total` images, of which `small` are too small, and `repeats` copies of the last one."""
    images = {f"{n:02d}.png": encode_image(random_image(n, *[20 if n < small else 40] * 2)) for n in range(total)}
    return images | {f"again-{number}.bmp": images[f"{total - 1:02d}.png"] for number in range(repeats)}


def test_a_warning_says_that_many_images_are_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_faces(tmp_path, make_small_images(2, 20, repeats=15))
    assert "omokage" not in capsys.readouterr().err
    run_faces(tmp_path, make_small_images(3, 20))
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("omokage"))
    assert "3 of 20 images (15%) are dropped (3 too small; for example '00.png')" in line
    assert "lower min_side" in line


def test_too_many_dropped_images_are_an_error(tmp_path: Path) -> None:
    images = make_small_images(11, 20)
    expected = r"11 of 20 images \(55%\) are dropped .*: expected at most 50%; lower min_side, or raise max_dropped"
    with pytest.raises(UserError, match=expected):
        run_faces(tmp_path, images, max_dropped=0.5)
    assert run_faces(tmp_path, images, max_dropped=0.6)[2]["pictures_dropped"] == 11


def test_too_few_faces_are_an_error(tmp_path: Path) -> None:
    images = {
        "a.png": encode_image(random_image(0)),
        "b.png": b"hello",
        "c.png": encode_image(random_image(0, 10, 10)),
    }
    with pytest.raises(UserError, match=r"dropped: 1 too small, 1 unknown format.*crop: whole"):
        run_faces(tmp_path, images)
