"""Remove repeated detections of the same face (non-maximum suppression)."""

from collections.abc import Iterable

from omokage.data.detection.table import Detection


def suppress_overlaps(detections: Iterable[Detection], max_overlap: float) -> list[Detection]:
    """Return the detections without those that overlap a likelier one by more than `max_overlap`, likeliest first.

    See `measure_overlap`. Of detections whose likelihoods are equal when rounded to 0.001, the earlier one
    stays.
    """
    kept: list[Detection] = []
    for face in sorted(detections, key=lambda face: round(face.likelihood, 3), reverse=True):
        if all(measure_overlap(face, other) <= max_overlap for other in kept):
            kept.append(face)
    return kept


def measure_overlap(first: Detection, second: Detection) -> float:
    """Return the area that both boxes share, as a fraction of the smaller box.

    Unlike intersection over union, this is 1 for a box inside another one.
    """
    reach = (first.side + second.side) / 2
    smaller = min(first.side, second.side)
    width, height = (
        max(0.0, min(smaller, reach - distance)) for distance in (abs(first.x - second.x), abs(first.y - second.y))
    )
    return width * height / smaller**2
