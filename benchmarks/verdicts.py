"""Print what the report says of sample sets that fail in a known way, and their scores, as a table.

    PYTHONPATH=src:tests .venv/bin/python benchmarks/verdicts.py [--count 100]

The sets are made from avatars of 32 pixels: see tests/support/sample_sets.py.
"""

import argparse

from support.report_fixtures import with_metrics
from support.sample_sets import score_avatars

from omokage.report.quality import judge_quality

KEYS = ("precision", "recall", "identical", "near_identical", "uniform", "colour_variety")


def main() -> None:
    """Print a row for each sample set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="samples in each set")
    rows = score_avatars(parser.parse_args().count)
    print(f"| samples | excess | {' | '.join(KEYS)} | words of the report |")
    print("|---|---|" + "---|" * (len(KEYS) + 1))
    for name, scores in rows.items():
        words = judge_quality(with_metrics(**scores)).short.removesuffix(", on too few samples to tell")
        cells = " | ".join(f"{scores[key]:.2f}" for key in KEYS)
        excess = (scores["distance"] - scores["distance_floor"]) / scores["feature_variance"]
        print(f"| {name} | {excess:.2f} | {cells} | {words} |")


if __name__ == "__main__":
    main()
