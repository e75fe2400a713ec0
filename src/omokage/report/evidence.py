"""What the alternative texts of the figures, and two sections of the report, are written from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from omokage.report.run import Run
from omokage.stamps.records import Record, find_record


def name_counterpart(sampler: str) -> str:
    """Return the sampler of the second row of the figure samplers, as sampling/batches.py chooses it."""
    return "ddim" if sampler.startswith("ddpm") else "ddpm"


@dataclass(frozen=True)
class Evidence:
    """A run, and what its records and frames say.

    `params` are the parameters of all stages, `network` the parts of the network (see training/network_parts.py),
    `round_trip` the errors of the DDIM round trips in grey levels, and `frames` the arrays of
    results/frames.safetensors.
    """

    run: Run
    params: Mapping[str, Any]
    network: Sequence[Mapping[str, Any]]
    round_trip: list[float]
    frames: Mapping[str, NDArray[Any]]

    @classmethod
    def collect(cls, run: Run, records: Sequence[Record], frames: Mapping[str, NDArray[Any]]) -> "Evidence":
        """Collect what the run records of the stages have."""
        params = {key: value for record in records for key, value in record["params"].items()}
        network = find_record(records, "train")["facts"]["network"]
        round_trip = find_record(records, "transform")["facts"]["round_trip_grey_levels"]
        return cls(run, params, network, round_trip, frames)
