"""What the tabs of the page do: compute images with the model, and return them as HTML."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from omokage.base.errors import UserError
from omokage.config.params_file import default_params
from omokage.demo.figures import render_figure
from omokage.library.faces import crop_likeliest_face
from omokage.library.images import to_grid, to_pil
from omokage.library.model import Model
from omokage.params.sample import Sampler

MAX_SAMPLES, MAX_EDITS, MAX_INTERPOLATED = 64, 16, 16
TITLED = ("count", "whole", "strength")  # settings that the title of a figure says, or that its PNG lists
FRAME_SIDE = 256  # pixels; smaller frames are enlarged by a whole factor to about this size


class Actions:
    """The computations of the page with one model, whose file has the hash `model_sha256`.

    The arguments of the methods come from a browser, so they are checked here or in the library: wrong ones raise
    UserError. Each method returns HTML, a figure whose PNG has a stamp with the arguments and the hash of the model.
    """

    def __init__(self, model: Model, model_sha256: str) -> None:
        self.model, self.model_sha256 = model, model_sha256

    def generate(self, seed: float | None, count: float, sampler: Sampler, steps: float, guidance: float) -> str:
        """Return a grid of the samples with the numbers 0 to `count` - 1."""
        number, seed = _check_count(count, 1, MAX_SAMPLES), _check_seed("seed", seed)
        start = time.perf_counter()
        samples = self.model.sample(number, seed=seed, sampler=sampler, steps=int(steps), guidance=guidance)
        settings = {"seed": seed, "count": number, "sampler": sampler, "steps": int(steps), "guidance": guidance}
        return self._show("generate", samples, settings, f"{number} samples", start)

    def denoise(self, seed: float | None, sampler: Sampler, steps: float, guidance: float) -> list[str]:
        """Return the frames of the denoising of sample 0, each the noisy and the predicted clean image."""
        seed = _check_seed("seed", seed)
        visited = self.model.denoise_steps(1, seed=seed, sampler=sampler, steps=int(steps), guidance=guidance)
        settings = {"seed": seed, "sampler": sampler, "steps": int(steps), "guidance": guidance}
        frames = []
        for number, step in enumerate(visited, 1):
            stamp = self._make_stamp("denoise", {**settings, "timestep": step.t})
            place = f"step {number} of {len(visited)}, timestep {step.t}"
            pair = [("noisy image x_t", step.x_t), ("predicted clean image x0", step.x0)]
            figures = [render_figure(_enlarge(x), f"{name}, {place}", f"{name}, {place}", stamp) for name, x in pair]
            frames.append(f'<div class="pair">{"".join(figures)}</div>')
        return frames

    def edit(
        self, upload: str | None, strength: float, count: float, seed: float | None, steps: float, whole: bool
    ) -> str:
        """Return `count` variations, by SDEdit, of the likeliest face in the uploaded file, after the face itself.

        With `whole` the central square of the image is taken instead of a face.
        """
        number, seed = _check_count(count, 1, MAX_EDITS), _check_seed("seed", seed)
        if not upload:
            raise UserError("there is no image: choose a file first")
        face = self._crop_face(Path(upload).read_bytes(), "whole" if whole else "auto")
        start = time.perf_counter()
        faces = face.expand(number, -1, -1, -1)
        edited = self.model.edit(faces, strength=strength, seed=seed, steps=int(steps))
        settings = {"strength": strength, "count": number, "seed": seed, "steps": int(steps), "whole": bool(whole)}
        title = f"your image, then {number} edited with strength {strength:g}"
        return self._show("edit", [face, edited], settings, title, start)

    def interpolate(
        self, first: float | None, second: float | None, count: float, steps: float, guidance: float
    ) -> str:
        """Return a strip of `count` images from the sample of one seed to that of another."""
        number = _check_count(count, 2, MAX_INTERPOLATED)
        seeds = _check_seed("first seed", first), _check_seed("second seed", second)
        start = time.perf_counter()
        images = self.model.interpolate(*seeds, number, steps=int(steps), guidance=guidance)
        settings = {"seeds": list(seeds), "count": number, "steps": int(steps), "guidance": guidance}
        return self._show("interpolate", images, settings, f"{number} images", start, columns=number)

    def _crop_face(self, content: bytes, crop: str) -> Tensor:
        """Return the likeliest face of an image file, uint8 [1, 3, side, side]."""
        defaults = default_params()
        margin, likelihood = defaults["crop_margin"], defaults["crop_likelihood"]
        # The name of an upload is its sender's choice, so no message repeats it.
        face = crop_likeliest_face("upload", content, self.model.image_size, crop, margin, likelihood)
        if face.pixels is None:
            advice = ", or take the whole image" if face.size is not None and crop != "whole" else ""
            raise UserError(f"the file cannot be used: {face.reason}: choose an image of a face{advice}")
        return torch.from_numpy(face.pixels)[None]

    def _make_stamp(self, tab: str, settings: dict[str, Any]) -> dict[str, Any]:
        return {"demo": {"tab": tab, **settings}, "model": self.model_sha256}

    def _show(
        self,
        tab: str,
        images: Tensor | Sequence[Tensor],
        settings: dict[str, Any],
        title: str,
        start: float,
        columns: int | None = None,
    ) -> str:
        """Return a figure with a sheet of the images, and with the settings and the time since `start` below it."""
        seconds = time.perf_counter() - start
        sheet = to_grid(images if isinstance(images, Tensor) else torch.cat(list(images)), columns)
        seeds = [str(seed) for seed in settings.get("seeds", [settings.get("seed")])]
        name = "-".join(["omokage", tab, *seeds])
        shown = {**settings, "seeds": " and ".join(seeds)} if "seeds" in settings else settings
        details = ", ".join(f"{key} {value}" for key, value in shown.items() if key not in TITLED)
        caption = f"{title}: {details} ({seconds:.1f} s)"
        return render_figure(sheet, f"{title}: {details}", caption, self._make_stamp(tab, settings), f"{name}.png")


def _enlarge(images: Tensor) -> Image.Image:
    """Return the only image of uint8 [1, 3, side, side] at about FRAME_SIDE pixels, without smoothing."""
    (image,) = to_pil(images)
    factor = max(1, round(FRAME_SIDE / image.width))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _check_count(value: float | None, low: int, high: int) -> int:
    if value is None or not low <= value <= high:
        raise UserError(f"number of images = {value}: expected {low} to {high}")
    return int(value)


def _check_seed(name: str, value: float | None) -> int:
    if value is None:
        raise UserError(f"{name} is empty: expected a whole number")
    return int(value)
