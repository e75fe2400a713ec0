"""Face detection: sizes, turned faces, groups, pictures without a face, another detector, and data sets of squares."""

from pathlib import Path

import pytest
from PIL import Image
from support.images import encode_image, random_image, read_table, run_faces, write_archive

from omokage.base.job import Job
from omokage.data.detection import animeface_detector, detector
from omokage.data.detection.animeface_detector import CERTAIN, TURNED_VIEWS, VIEWS, View
from omokage.data.detection.drawn_face import draw_test_face
from omokage.data.detection.overlap import measure_overlap, suppress_overlaps
from omokage.data.detection.square_sets import MAX_CROP_SIDE, SAMPLE, SquareSet, judge_data_set
from omokage.data.detection.table import Detection
from omokage.params.detect import Params
from omokage.stages import detect


def draw_scene(size: tuple[int, int], faces: list[tuple[int, int, int]]) -> Image.Image:
    """Return a picture with drawn faces, each given as left, top and side in pixels."""
    scene = Image.new("RGB", size, (120, 160, 200))
    for left, top, side in faces:
        scene.paste(draw_test_face().resize((side, side), Image.Resampling.LANCZOS), (left, top))
    return scene


def find_certain(image: Image.Image) -> list[Detection]:
    """Return the certain detections in an image."""
    return [face for face in detector.DETECTOR.detect(image) if face.likelihood >= CERTAIN]


@pytest.mark.parametrize("side", [100, 160, 400, 1600])
def test_a_face_is_found_once_at_any_size(side: int) -> None:
    detector.DETECTOR.check()
    (face,) = detector.DETECTOR.detect(draw_test_face().resize((side, side), Image.Resampling.LANCZOS))
    assert face.x == pytest.approx(side / 2, abs=0.05 * side)
    assert face.y == pytest.approx(0.67 * side, abs=0.07 * side)


def test_small_faces_of_a_group_are_found_in_a_large_picture() -> None:
    corners = [(80 + 800 * column, 120 + 700 * row, 190) for row in range(2) for column in range(3)]
    faces = find_certain(draw_scene((2400, 1600), corners))
    assert len(faces) == len(corners)
    assert faces == sorted(faces, key=lambda face: (face.y, face.x))
    for left, top, side in corners:
        x, y = left + side / 2, top + 0.67 * side
        assert any(abs(face.x - x) < side / 4 and abs(face.y - y) < side / 4 for face in faces)


def test_a_turned_view_maps_positions_back() -> None:
    scene = draw_scene((700, 500), [(380, 60, 300)])
    (upright,) = animeface_detector._detect(scene, VIEWS[0])
    for angle in (TURNED_VIEWS[0].angle, TURNED_VIEWS[1].angle, 5):
        (turned,) = animeface_detector._detect(scene, View(800, angle))
        assert (turned.x, turned.y) == pytest.approx((upright.x, upright.y), abs=20)


def test_turned_and_large_views_are_used_only_if_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[View] = []
    likelihoods: dict[View, float] = {}

    def pretend(image: Image.Image, view: View) -> list[Detection]:
        seen.append(view)
        return [Detection(100, 100, 50, likelihoods[view])] if view in likelihoods else []

    monkeypatch.setattr(animeface_detector, "_detect", pretend)
    small, large = Image.new("RGB", (700, 500)), Image.new("RGB", (1700, 900))
    likelihoods[VIEWS[2]] = CERTAIN
    assert [face.likelihood for face in detector.DETECTOR.detect(large)] == [CERTAIN]
    assert seen == [*VIEWS]
    likelihoods[VIEWS[2]] = 0.9
    likelihoods[TURNED_VIEWS[0]] = 0.95
    for image, expected in ((small, [*VIEWS, *TURNED_VIEWS]), (large, [*VIEWS, *TURNED_VIEWS, View(1600)])):
        seen.clear()
        assert [face.likelihood for face in detector.DETECTOR.detect(image)] == [0.9]  # not the turned one
        assert seen == expected


def test_a_second_face_must_be_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Detection(100, 100, 60, 1.0), Detection(100, 180, 60, 0.99), Detection(300, 100, 200, 0.999)]
    monkeypatch.setattr(animeface_detector, "_detect", lambda image, view: found)
    assert detector.DETECTOR.detect(Image.new("RGB", (700, 500))) == [found[0], found[2]]


@pytest.mark.parametrize("image", [Image.new("RGB", (400, 300), (120, 160, 200)), random_image(5, 60, 60)])
def test_a_picture_without_a_face_has_none(image: Image.Image) -> None:
    assert find_certain(image) == []


def test_overlapping_detections_of_a_face_become_one() -> None:
    face, inside, beside = Detection(50, 50, 40, 1.0), Detection(55, 55, 10, 0.999), Detection(81, 50, 40, 0.998)
    assert measure_overlap(face, inside) == 1
    assert measure_overlap(face, beside) == pytest.approx(9 / 40)
    assert measure_overlap(face, Detection(91, 50, 40, 1.0)) == 0
    assert suppress_overlaps([inside, beside, face], 0.5) == [face, beside]
    first, second = Detection(50, 50, 40, 0.9998), Detection(51, 51, 60, 1.0)
    assert suppress_overlaps([first, second], 0.5) == [first]


class CentreDetector:
    """Takes the central quarter of every image for a face."""

    def detect(self, image: Image.Image) -> list[Detection]:
        """Return one face in the centre of the image."""
        return [Detection(image.width / 2, image.height / 2, image.height / 2, 1.0)]

    def check(self) -> None:
        """Do nothing: there is nothing that can be missing."""


def test_another_detector_needs_nothing_but_the_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "DETECTOR", CentreDetector())
    images = {f"{seed}.png": encode_image(random_image(seed, 400, 300)) for seed in range(12)}
    _, rows, counts = run_faces(tmp_path, images, crop_margin=0.0)
    assert counts["detected"] == 12
    assert {row["box"] for row in rows} == {"125 60 275 210"}


def make_faces(count: int, side: int, first: int = 0) -> dict[str, bytes]:
    """Return square pictures of one colour each, by name."""
    return {
        f"f{number}.png": encode_image(Image.new("RGB", (side, side), (5 * number, 100, 99)))
        for number in range(first, first + count)
    }


SCENE = encode_image(Image.new("RGB", (900, 400), (120, 160, 200)))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (make_faces(40, 300), SquareSet(MAX_CROP_SIDE, 40)),
        (make_faces(12, 300) | {"odd.png": SCENE}, SquareSet(MAX_CROP_SIDE, 12)),
        (make_faces(12, 300) | {"a.png": SCENE, "z.png": SCENE}, SquareSet()),
        (make_faces(40, 300) | {"a.png": SCENE, "z.png": SCENE}, SquareSet(MAX_CROP_SIDE, 40)),
        (make_faces(20, 200) | make_faces(20, 300, 20), SquareSet(MAX_CROP_SIDE, 20)),
        (make_faces(20, 300) | {f"{number}.txt": b"text" for number in range(60)}, SquareSet(MAX_CROP_SIDE, 20)),
        (make_faces(40, 128), SquareSet()),
        (make_faces(40, 600), SquareSet()),
        (make_faces(9, 300), SquareSet()),
        ({}, SquareSet()),
    ],
    ids=["squares", "one odd", "2 of 14 odd", "2 of 42 odd", "two sizes", "not images", "128", "600", "few", "none"],
)
def test_a_data_set_is_judged_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, images: dict[str, bytes], expected: SquareSet
) -> None:
    monkeypatch.setattr(detector, "DETECTOR", CentreDetector())
    assert judge_data_set(write_archive(tmp_path, images)) == expected


@pytest.mark.parametrize(("share", "expected"), [(0.4, SquareSet(MAX_CROP_SIDE, 32)), (0.5, SquareSet())])
def test_square_illustrations_are_recognised_by_their_small_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float, expected: SquareSet
) -> None:
    class SomeSmallFaces(CentreDetector):
        calls = 0

        def detect(self, image: Image.Image) -> list[Detection]:
            self.calls += 1
            is_small = self.calls <= share * SAMPLE
            return [Detection(150, 150, 60 if is_small else 150, 1.0)]

    monkeypatch.setattr(detector, "DETECTOR", SomeSmallFaces())
    assert judge_data_set(write_archive(tmp_path, make_faces(32, 300))) == expected


def test_square_faces_are_taken_whole_and_the_odd_picture_is_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detector, "DETECTOR", CentreDetector())
    images = make_faces(30, 300) | {"odd.png": SCENE}
    out, rows, counts = run_faces(tmp_path, images)
    assert (counts["whole"], counts["detected"], counts["dropped"]) == (30, 1, {})
    assert [row["picture"] for row in rows if row["how"] == "detected"] == ["odd.png"]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "square" in line]
    assert "30 square images" in line and "crop: detect" in line
    alone = (out / "detections.csv").read_bytes()
    again, *_ = run_faces(tmp_path, images, jobs=5)
    assert (again / "detections.csv").read_bytes() == alone
    searched, *_ = run_faces(tmp_path, images, crop="detect")
    assert {row["seen"] for row in read_table(searched / "detections.csv")} == {"faces"}


def test_the_judgement_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "DETECTOR", CentreDetector())
    names = ("data/pictures.zip", "data/manifest.json", "data/detections.csv")
    paths = {name: tmp_path / Path(name).name for name in names}
    write_archive(tmp_path, make_faces(12, 300))
    job = Job(Params(crop="auto"), paths, paths, tmp_path / "work", 1)
    detect.run(job)
    assert job.facts == {"max_face_side": 512, "squares_taken_whole": 12}
