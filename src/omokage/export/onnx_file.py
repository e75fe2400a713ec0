"""Write the denoising network as an ONNX file, and compare it with PyTorch in ONNX Runtime."""

import importlib.util
import logging
import math
import warnings
from pathlib import Path

import torch

from omokage.base.errors import UserError
from omokage.compute.seeding import make_generator
from omokage.diffusion.unet import UNet

PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # the extra `export` of pyproject.toml
# The largest error allowed: the maximum of |ONNX - PyTorch|, relative to the maximum of |PyTorch|.
MAX_ERROR = 1e-4
BATCHES = (1, 3, 8)  # the numbers of images for which the two are compared


def check_packages() -> None:
    """Raise UserError if a package of the extra `export` is not installed."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"denoiser.onnx: {', '.join(missing)} not installed, expected the extra `export`: run `make install` or "
            f"`pip install {' '.join(PACKAGES)}`, or leave the file out with --no-onnx"
        )


def write_onnx(network: UNet, image_size: int, path: Path) -> float:
    """Write the network, and return the largest error of ONNX Runtime relative to PyTorch on a CPU in float32.

    The inputs are `x`, float32 [n, 3, h, w], and `angle`, float32 [n], for any n. The output is `prediction`, of the
    shape of `x`. Raises UserError if the error is above MAX_ERROR.
    """
    network = network.cpu().float()
    examples = _make_inputs(2, image_size)
    batch = torch.export.Dim("n")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                network,
                examples,
                input_names=["x", "angle"],
                output_names=["prediction"],
                dynamic_shapes={"x": {0: batch}, "angle": {0: batch}},
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"denoiser.onnx: PyTorch cannot write it ({reason}): leave it out with --no-onnx"
            ) from error
    assert program is not None
    program.save(path, external_data=False)
    return compare(network, image_size, path)


def compare(network: UNet, image_size: int, path: Path) -> float:
    """Return the largest of the errors over BATCHES: the maximum of |ONNX - PyTorch| / maximum of |PyTorch|.

    The images are Gaussian noise of variance 1, each at another noise level. Raises UserError above MAX_ERROR.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    errors = []
    for count in BATCHES:
        x, angle = _make_inputs(count, image_size)
        with torch.inference_mode():
            expected = network(x, angle)
        (found,) = session.run(None, {"x": x.numpy(), "angle": angle.numpy()})
        errors.append(float((torch.from_numpy(found) - expected).abs().max() / expected.abs().max()))
    if not max(errors) <= MAX_ERROR:  # also for NaN
        raise UserError(
            f"denoiser.onnx differs from the network by {max(errors):.1e} of its largest value, expected at most "
            f"{MAX_ERROR:.0e}: leave the file out with --no-onnx, and report this"
        )
    return max(errors)


def _make_inputs(count: int, image_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return noise [count, 3, h, w] and noise angles [count], spread over 0 to pi/2."""
    x = torch.randn(count, 3, image_size, image_size, generator=make_generator(0, "onnx", count))
    return x, (torch.arange(count) + 0.5) / count * (math.pi / 2)
