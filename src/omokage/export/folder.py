"""Write an exported folder: the model with its metadata, the diffusers pipeline, the ONNX file and the model card."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.numpy import load_file
from safetensors.torch import save

from omokage.base.files import hash_file
from omokage.comparison.samples import cut_samples
from omokage.diffusion import posthoc_ema
from omokage.diffusion.model import HEADER_KEY, ModelSpec, copy_with_weights, load_model, save_model
from omokage.diffusion.unet import UNet
from omokage.export.files import (
    CARD,
    COMPONENT,
    COMPONENT_CLASS,
    CONFIG,
    FILES,
    INDEX,
    MODEL,
    NETWORK,
    ONNX,
    PICTURE,
    PIPELINE,
    PIPELINE_CLASS,
    VERSION_KEY,
)
from omokage.export.licences import UNKNOWN, find_common_identifier
from omokage.export.model_card import CardContent, render_card
from omokage.export.onnx_file import write_onnx
from omokage.export.run import Run
from omokage.export.safetensors_header import copy_with_metadata
from omokage.export.standalone import build_standalone
from omokage.figures.sheet import tile_images
from omokage.library.guidance_file import GUIDING_MODEL
from omokage.params.train import NO_MODEL

SAMPLES_SHOWN, COLUMNS = 64, 8
# The setting of the exported folder -> the parameter of the stage `sample`.
SETTINGS = {
    "seed": "sample_seed",
    "sampler": "sampler",
    "num_inference_steps": "sample_steps",
    "guidance_scale": "guidance_scale",
    "guidance_min_log_snr": "guidance_min_log_snr",
    "timestep_spacing": "timestep_spacing",
    "eta": "eta",
}
# The values of parameters that runs of older versions do not have.
OLDER_RUNS = {"guidance_min_log_snr": -100.0}


@dataclass(frozen=True)
class Options:
    """What a user chooses: the licence as an identifier of the hub (None: that of the data), and whether to write ONNX.

    `title` is the name of the model on its card.
    """

    title: str
    licence: str | None = None
    has_onnx: bool = True


def write_folder(run: Run, folder: Path, options: Options) -> float | None:
    """Write all files into the empty folder; return the largest relative error of the ONNX file, or None without it.

    Raises UserError if the model cannot be loaded, if the snapshots that sampling needs are missing, or if ONNX Runtime
    disagrees with PyTorch.
    """
    version = _find_version()
    sample = {key: value for values in run.params.values() for key, value in values.items()}
    settings = {key: {**OLDER_RUNS, **sample}[parameter] for key, parameter in SETTINGS.items()}
    # The data of a model that the training started from is not recorded.
    has_known_data = sample.get("init_from", NO_MODEL) == NO_MODEL
    licence = options.licence or (find_common_identifier(run.manifest["licences"]) if has_known_data else UNKNOWN)
    network, spec = _write_model(run, sample, folder / MODEL, describe_run(run, licence))
    if settings["guidance_scale"] != 1:
        _write_guiding_model(run, sample["guidance_snapshot"], spec, folder / GUIDING_MODEL)
    config = {VERSION_KEY: version, "model": asdict(spec), "sampling": settings}
    _write_json(folder / CONFIG, config)
    _write_json(folder / INDEX, {"_class_name": PIPELINE_CLASS, COMPONENT: COMPONENT_CLASS})
    shutil.copyfile(Path(__file__).with_name(PIPELINE), folder / PIPELINE)
    (folder / NETWORK).parent.mkdir()
    (folder / NETWORK).write_text(build_standalone("omokage.export.denoiser"), encoding="utf-8")
    has_picture = _write_picture(run, spec.architecture.image_size, folder / PICTURE)
    onnx_error = write_onnx(network, spec.architecture.image_size, folder / ONNX) if options.has_onnx else None
    found = {name: folder / name for name in FILES if (folder / name).exists()}
    files = {name: (FILES[name], path.stat().st_size) for name, path in found.items()}
    content = CardContent(
        title=options.title,
        licence=licence,
        spec=spec,
        parameter_count=sum(parameter.numel() for parameter in network.parameters()),
        params=run.params,
        manifest=run.manifest,
        counts=run.counts,
        scores=run.scores,
        settings=settings,
        files=files,
        onnx_error=onnx_error,
        has_picture=has_picture,
        model_sha256=hash_file(run.model),
        origin=[*map(str, run.commits)],
        commands=run.commands,
        version=version,
    )
    (folder / CARD).write_text(render_card(content), encoding="utf-8")
    return onnx_error


def describe_run(run: Run, licence: str) -> dict[str, str]:
    """Return the metadata for the header of the model file, whose values must be text."""
    data = {key: run.manifest[key] for key in ("name", "version", "licences", "count")}
    return {
        "format": "pt",
        "license": licence,
        "training_data": json.dumps(data | {"faces": run.counts}, ensure_ascii=False),
        "parameters": json.dumps(run.params),
        "scores": json.dumps(run.scores),
        "commits": json.dumps([revision.commit for revision in run.commits]),
    }


def _write_model(run: Run, sample: Mapping[str, Any], path: Path, header: Mapping[str, str]) -> tuple[UNet, ModelSpec]:
    """Write the weights that generated the samples of the run, and return the network and its description."""
    network, spec = load_model(run.model, torch.device("cpu"))
    source = run.model
    if sample["ema_kind"] == "posthoc":
        weights = posthoc_ema.synthesise_ema(run.find_snapshots(), sample["ema_sigma_rel"])
        network, source = copy_with_weights(network, weights), path.with_name("posthoc.safetensors")
        save_model(source, network, spec)
    copy_with_metadata(source, path, header)
    if source != run.model:
        source.unlink()
    return network, spec


def _write_guiding_model(run: Run, fraction: float, spec: ModelSpec, path: Path) -> None:
    """Write the snapshot that guides the samples of the run. It is float16, as in the snapshots, so nothing is lost."""
    weights = posthoc_ema.load_nearest_snapshot(run.find_snapshots(), fraction)
    path.parent.mkdir()
    header = {HEADER_KEY: json.dumps(asdict(spec), sort_keys=True)}
    # Not save_file, whose files only their owner may read.
    path.write_bytes(save({name: tensor.half().contiguous() for name, tensor in weights.items()}, metadata=header))


def _write_picture(run: Run, image_size: int, path: Path) -> bool:
    """Write a grid of the first samples, without selection; return False if neither samples nor figure were found."""
    images = load_file(run.samples)["samples"][:SAMPLES_SHOWN] if run.samples else None
    if images is None and run.figure:
        images = cut_samples(run.figure, image_size, SAMPLES_SHOWN)
    if images is None:
        return False
    tile_images(images, COLUMNS).save(path)
    return True


def _find_version() -> str:
    try:
        return metadata.version("omokage")
    except metadata.PackageNotFoundError:
        return "unknown"


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
