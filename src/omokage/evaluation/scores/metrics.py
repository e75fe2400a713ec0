"""Compute all scores of the samples, each with the real-vs-real baseline (the floor).

`train` and `held_out` are the splits: the training set and the held-out set.
"""

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from omokage.base.errors import UserError
from omokage.evaluation.features.extractors import Extractor
from omokage.evaluation.features.reference import spread_indices
from omokage.evaluation.scores import bootstrap, distances, manifold, style, variety
from omokage.params.evaluate import Params

# The scores in results/metrics.json, by their keys there. `prec` is short for precision: params.yaml has a parameter
# `precision`, and for two columns of one name `dvc exp show` puts the path of the file before each.
HEADLINES = {
    "distance": "distance",
    "distance_floor": "distance_floor",
    "fid": "fid",
    "kid": "kid",
    "prec": "precision",
    "recall": "recall",
    "coverage": "coverage",
    "copied": "copied",
    "face_rate": "face_rate",
}
# The lowest possible value of each score that has an interval. KID is unbiased, so it can be negative.
MINIMA = {"distance": 0.0, "kid": -math.inf}


def check_counts(samples: Tensor, reference: Mapping[str, Tensor]) -> None:
    """Raise UserError if there are fewer than two samples or fewer than two reference features of a split."""
    for name, images, remedy in (
        ("samples", samples, "raise samples"),
        ("held-out faces", reference["held_out"], "give more images, or raise held_out or reference_faces"),
        ("training faces", reference["train"], "give more images, or lower held_out or raise reference_faces"),
    ):
        if len(images) < 2:
            raise UserError(
                f"{name}: {len(images)}, expected at least 2 to compute a distance: {remedy} in params.yaml"
            )


def compute_metrics(
    p: Params,
    extractor: Extractor,
    samples: Tensor,
    features: Tensor,
    reference: Mapping[str, Tensor],
    faces: Mapping[str, Tensor],
) -> dict[str, Any]:
    """Return the scores of n samples, their floors, and the settings of the scores (extractor, resizing, seed, counts).

    `samples` are uint8 [n, 3, h, w] and have the `features` [n, d]. `reference` has the features of real faces by
    split, and `faces` has the faces, uint8 [m, 3, h, w], by split. A floor is the score of n training faces against the
    same held-out faces.
    """
    n = len(samples)
    real = {
        "features": reference["train"][spread_indices(len(reference["train"]), n)],
        "faces": faces["train"][spread_indices(len(faces["train"]), n)],
    }
    scores = _compute_scores(p, features, real["features"], reference["held_out"])
    return {
        "score": distances.name_distance(extractor.name),
        "extractor": extractor.name,
        "resize": f"clean, bicubic, {extractor.side}",
        "seed": p.evaluate_seed,
        "n": n,
        "n_reference": len(reference["held_out"]),
        # The Fréchet distance of samples that all have the mean features of the real faces.
        "feature_variance": float(reference["held_out"].double().var(0).sum()),
        **scores,
        **({"fid": scores["distance"]} if extractor.name == "inception" else {}),
        **(compute_training_distance(features, reference) if p.distance_to_train else {}),
        **variety.compare_samples(samples, real["faces"]),
        "style": style.compare_style(samples, faces["held_out"]),
        "style_floor": style.compare_style(real["faces"], faces["held_out"]),
        "style_histograms": style.compute_histograms({"samples": samples, **faces}),
    }


def compute_distances(p: Params, features: Tensor, held_out: Tensor) -> dict[str, float]:
    """Return the Fréchet distance and KID of features [n, d] to those of the held-out faces [m, d]."""
    kid = distances.compute_kid(features, held_out, p.kid_subsets, p.kid_subset_size, p.evaluate_seed)
    return {"distance": distances.compute_frechet(features, held_out), "kid": kid}


def compute_training_distance(features: Tensor, reference: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the Fréchet distance of features [n, d] to the training set, and the floor: that of the held-out set.

    Papers publish this distance as FID. A model that copies its training faces gets a lower distance than new faces.
    """
    train = reference["train"]
    return {
        "distance_train": distances.compute_frechet(features, train),
        "distance_train_floor": distances.compute_frechet(reference["held_out"], train),
    }


def _compute_scores(p: Params, features: Tensor, real: Tensor, held_out: Tensor) -> dict[str, float]:
    """Return the scores by name, with floors (`*_floor`) and confidence intervals (`*_low`, `*_high`).

    `features` [n, d] are those of the samples, `real` [n, d] of training faces, and `held_out` [m, d] of held-out
    faces. Only `distance` and `kid` have confidence intervals.
    """
    scores, floors = (
        compute_distances(p, rows, held_out) | manifold.compute_overlap(rows, held_out) for rows in (features, real)
    )
    counts = bootstrap.draw_resamples(len(features), p.bootstrap, p.evaluate_seed)
    resampled = {
        "distance": bootstrap.bootstrap_frechet(features, held_out, counts),
        "kid": bootstrap.bootstrap_kid(features, held_out, counts),
    }
    table: dict[str, float] = {}
    for key, score in scores.items():
        table[key] = score
        if key in resampled:
            table[f"{key}_low"], table[f"{key}_high"] = bootstrap.compute_interval(score, resampled[key], MINIMA[key])
        table[f"{key}_floor"] = floors[key]
    return table


def select_headlines(scores: Mapping[str, Any]) -> dict[str, float]:
    """Return the few scores that people compare between runs, for results/metrics.json."""
    return {key: scores[name] for key, name in HEADLINES.items() if name in scores}
