"""Copies of an image are found whatever common change was made to them, and are never in both splits."""

import io
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from support.images import encode_image, read_index, run_faces

from omokage.data.curation import copies, copy_candidates, curate
from omokage.data.curation.curate import FaceRecord, QualityLimits
from omokage.data.curation.descriptors import FaceDescriptors
from omokage.data.curation.face_cropper import FaceCrop, make_preview
from omokage.data.curation.groups import group_images
from omokage.data.curation.splits import choose_sides, choose_split
from omokage.data.detection.drawn_face import draw_test_face
from omokage.data.sources.avatars import AvatarRenderer

LENIENT, STRICT = copies.TOLERANCES["lenient"], copies.TOLERANCES["strict"]
HELD_OUT = 0.4


def paint(seed: int, side: int = 64) -> Image.Image:
    """Return a random drawing: shapes of random colours, RGB, `side` x `side` pixels."""
    generator = np.random.default_rng(seed)
    image = Image.new("RGB", (256, 256), tuple(generator.integers(0, 256, 3).tolist()))
    canvas = ImageDraw.Draw(image)
    for shape in range(24):
        left, top, width, height = generator.integers((-40, -40, 30, 30), (216, 216, 140, 140)).tolist()
        colour = tuple(generator.integers(0, 256, 3).tolist())
        draw = canvas.ellipse if shape % 2 else canvas.rectangle
        draw((left, top, left + width, top + height), fill=colour)
    return image.resize((side, side), Image.Resampling.LANCZOS)


def move(image: Image.Image, right: int, down: int) -> Image.Image:
    """Return the image moved by some pixels; the pixels at its edges are repeated."""
    padded = np.pad(np.asarray(image), ((4, 4), (4, 4), (0, 0)), mode="edge")
    return Image.fromarray(np.roll(padded, (down, right), (0, 1))[4:-4, 4:-4])


def crop(image: Image.Image, fraction: float, left: float, top: float) -> Image.Image:
    """Return the image without a fraction of each side, at its old size; `left` is the share removed from the left."""
    side, rest = image.width, image.width * (1 - fraction)
    x, y = (side - rest) * left, (side - rest) * top
    return image.resize(image.size, Image.Resampling.BICUBIC, box=(x, y, x + rest, y + rest))


def add_border(image: Image.Image, fraction: float) -> Image.Image:
    """Return the image at its old size, made smaller inside a white border of a fraction of its side."""
    width = round(image.width * fraction)
    small = image.resize((image.width - 2 * width, image.height - 2 * width), Image.Resampling.LANCZOS)
    return ImageOps.expand(small, width, "white")


def compress(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after JPEG compression."""
    return Image.open(io.BytesIO(encode_image(image, "JPEG", quality=quality))).convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "moved by 1 pixel": lambda image: move(image, 1, -1),
    "moved by 3 pixels": lambda image: move(image, -3, 0),
    "cropped by 4 %": lambda image: crop(image, 0.04, 0.2, 1),
    "cropped by 8 %": lambda image: crop(image, 0.08, 0.9, 0.4),
    "10 % brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    "10 % darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "mirrored": ImageOps.mirror,
    "border of 4 %": lambda image: add_border(image, 0.04),
    "compressed": lambda image: compress(image, 60),
    "half the size": lambda image: image.resize((32, 32), Image.Resampling.LANCZOS),
    "mirrored, cropped, compressed": lambda image: compress(crop(ImageOps.mirror(image), 0.06, 0.3, 0.6), 75),
}


def preview(images: list[Image.Image]) -> np.ndarray:
    return np.stack([make_preview(image) for image in images])


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_among_other_images(change: str) -> None:
    images = [paint(seed) for seed in range(60)]
    groups = copies.find_copies(preview(images + [CHANGES[change](image) for image in images]), LENIENT)
    assert (groups[:60] == groups[60:]).mean() >= 0.95
    assert len(set(groups[:60].tolist())) == 60


def test_groups_do_not_depend_on_the_order_or_on_other_images() -> None:
    images = [paint(seed) for seed in range(20)]
    images += [CHANGES[change](images[number]) for number, change in enumerate(CHANGES)]
    previews = preview(images)
    groups = copies.find_copies(previews, LENIENT)
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = copies.find_copies(previews[order], LENIENT)
    assert ((groups[order][:, None] == groups[order]) == (shuffled[:, None] == shuffled)).all()
    fewer = copies.find_copies(previews[:25], LENIENT)
    assert ((fewer[:, None] == fewer) <= (groups[:25, None] == groups[:25])).all()


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_changes_no_byte_of_the_result(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_candidates, "BLOCK", 7)  # so that this many pictures are several blocks and parts
    monkeypatch.setattr(copies, "PART", 5)
    originals = [paint(seed) for seed in range(40)]
    previews = preview(originals + [change(image) for image in originals[:8] for change in CHANGES.values()])
    results = []
    for number in (1, threads):
        with ThreadPoolExecutor(number) as pool:
            candidates = copy_candidates.find_candidates(previews, pool)
        groups = copies.find_copies(previews, LENIENT, number)
        results.append([values.tobytes() for values in (*vars(candidates).values(), groups)])
    assert len(candidates.first) > 100 and len(np.unique(groups)) == 40
    assert results[0] == results[1]


def test_images_without_contrast_are_no_copies() -> None:
    shades = [Image.new("RGB", (40, 40), (shade, 0, 9)) for shade in range(100, 110)]
    assert len(set(copies.find_copies(preview(shades), LENIENT).tolist())) == 10
    assert len(copies.find_copies(preview(shades)[:0], LENIENT)) == 0


def test_avatars_that_differ_in_their_features_are_no_copies_but_mirrored_ones_are() -> None:
    renderer = AvatarRenderer(("adventurer",), ("b6e3f4", "ffd5dc"), 128, 3)
    avatars = [Image.open(io.BytesIO(renderer(number))).convert("RGB") for number in range(100)]
    groups = copies.find_copies(preview(avatars + [ImageOps.mirror(avatar) for avatar in avatars]), STRICT)
    assert len(set(groups[:100].tolist())) == 100
    assert (groups[:100] == groups[100:]).all()


@pytest.mark.parametrize(
    ("value", "source", "expected"),
    [
        ("auto", "avatars", STRICT),
        ("auto", "folder", LENIENT),
        ("auto", "kaggle", LENIENT),
        ("lenient", "avatars", LENIENT),
        ("strict", "folder", STRICT),
        ("identical", "kaggle", 0.0),
    ],
)
def test_the_tolerance_fits_the_source(value: str, source: str, expected: float) -> None:
    assert copies.choose_tolerance(value, source) == expected


# Files, each with the drawing it shows. The hash of a file depends on its number, so some are held out.
DRAWINGS = [paint(seed) for seed in range(5)]
FILES = {number: (number % 5, change) for number, change in enumerate([None, *CHANGES, None, *CHANGES])}
PREVIEWS = preview(
    [CHANGES[change](DRAWINGS[drawing]) if change else DRAWINGS[drawing] for drawing, change in FILES.values()]
)
SETS = st.sets(st.sampled_from(sorted(FILES)), min_size=1)


def hash_file(number: int) -> str:
    return f"{(number * 7919 % 256) * 2**248:064x}"


def split_files(numbers: set[int], face_groups: np.ndarray | None = None) -> dict[int, str]:
    """Return the split of each file, also of the faces that are dropped because they repeat another one."""
    chosen = sorted(numbers)
    records = [FaceRecord(FaceCrop(f"{number:02d}", 1), hash_file(number), f"{number}") for number in chosen]
    groups = copies.find_copies(PREVIEWS[chosen], LENIENT) if face_groups is None else face_groups[chosen]
    return dict(zip(chosen, choose_sides(records, group_images(records, groups, {}), HELD_OUT), strict=True))


@settings(max_examples=60, derandomize=True)
@given(old=SETS, new=SETS)
def test_added_images_never_move_a_held_out_image_to_the_training_set(old: set[int], new: set[int]) -> None:
    before, after = split_files(old), split_files(old | new)
    own = {number: choose_split(hash_file(number), HELD_OUT) for number in old | new}
    groups = copies.find_copies(PREVIEWS[sorted(old | new)], LENIENT)
    group_of = dict(zip(sorted(old | new), groups.tolist(), strict=True))
    for number, split in before.items():
        if after[number] != split:
            assert (split, after[number]) == ("train", "held_out")
            members = {other for other in old | new if group_of[other] == group_of[number]}
            assert members & (new - old)
            assert any(own[other] == "held_out" for other in members)


@settings(max_examples=100, derandomize=True)
@given(labels=st.lists(st.integers(0, 6), min_size=len(FILES), max_size=len(FILES)), chosen=SETS)
def test_a_group_has_one_split_and_is_held_out_if_one_of_its_files_is(labels: list[int], chosen: set[int]) -> None:
    splits = split_files(chosen, np.array(labels))
    for number, split in splits.items():
        members = [other for other in chosen if labels[other] == labels[number]]
        own = {choose_split(hash_file(member), HELD_OUT) for member in members}
        assert split == ("held_out" if "held_out" in own else "train")


def test_images_are_grouped_by_any_of_their_faces_and_as_a_whole() -> None:
    records = [FaceRecord(FaceCrop(name, 1), "0" * 64, "x") for name in ("a", "a", "b", "c", "d", "e")]
    groups = group_images(records, np.array([0, 1, 1, 2, 3, 4]), {"c": 7, "d": 7, "e": 8})
    assert len({*groups[:3]}) == 1 and groups[3] == groups[4]
    assert len(set(groups)) == 3


def test_of_each_group_of_copies_the_first_face_is_kept() -> None:
    records = [FaceRecord(FaceCrop(name, 1), "0" * 64, pixels) for name, pixels in zip("abcd", "xyxz", strict=True)]
    descriptors = FaceDescriptors.compute(np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), np.uint8))
    limits, sides = QualityLimits(0, 0, 0, 0), ["train"] * 4
    decisions = curate.decide_curation(records, descriptors, np.array([5, 5, 5, 1]), sides, limits, 1)
    assert [decision.reason for decision in decisions] == ["", "copy of a", "duplicate of a", ""]


def test_identical_pixels_join_groups() -> None:
    groups = copies.join_identical(np.array([3, 3, 1, 0]), ["p", "q", "q", "r"])
    assert groups[0] == groups[1] == groups[2] != groups[3]


def paint_face(seed: int) -> Image.Image:
    """Return the test face with hair of a random colour on a random colour."""
    generator = np.random.default_rng(seed)
    face = np.array(draw_test_face().resize((150, 150)))
    for colour in ((90, 60, 40), (255, 255, 255)):
        is_near = np.abs(face.astype(int) - colour).max(2) < 30
        face[is_near] = generator.integers(0, 200, 3)
    return Image.fromarray(face)


def test_smaller_copies_of_illustrations_are_never_in_the_other_split(tmp_path: Path) -> None:
    images: dict[str, bytes] = {}
    for seed in range(24):
        scene = paint(seed, 360)
        scene.paste(paint_face(seed), (20 + 5 * seed, 30 + 4 * seed))
        small = scene.resize((252, 252), Image.Resampling.LANCZOS)
        images |= {
            f"{seed:02d}.png": encode_image(scene),
            f"{seed:02d}-small.jpg": encode_image(small, "JPEG", quality=85),
        }
    out, rows, counts = run_faces(tmp_path, images, image_size=32, crop="detect", copies="auto")
    splits = defaultdict(set)
    for row in read_index(out):
        splits[row["picture"][:2]].add(row["split"])
    assert all(len(split) == 1 for split in splits.values())
    assert counts["pictures"] == 48 and counts["pictures_repeated"] >= 10
    assert any(row["reason"].startswith("copy of") for row in rows)
