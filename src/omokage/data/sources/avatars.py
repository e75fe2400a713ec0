"""Render illustrated faces with DiceBear (https://www.dicebear.com). This source needs no network."""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import resvg_py
from dicebear import Avatar, Style

from omokage.data.sources.collection import Collection, Licence
from omokage.data.sources.styles import STYLES_FOLDER, check_styles
from omokage.data.workers import map_in_order

PACKAGES = ("dicebear-styles", "dicebear-core", "resvg-py")


@dataclass(frozen=True)
class AvatarRenderer:
    """Renders avatar 0, 1, 2, ... as a square PNG image.

    Avatar i has the style `styles[i % len(styles)]`. For a given style, its face depends only on `seed` and i.
    `backgrounds` are hexadecimal colours; DiceBear picks one for each avatar. `size` is the side in pixels.
    """

    styles: tuple[str, ...]
    backgrounds: tuple[str, ...]
    size: int
    seed: int

    def name(self, number: int) -> str:
        """Return the file name of avatar `number`.

        The name does not depend on how many avatars are rendered.
        """
        return f"{number:06d}-{self._style(number)}.png"

    def __call__(self, number: int) -> bytes:
        """Return avatar `number` as the bytes of a PNG file of `size` x `size` pixels."""
        options = {"seed": f"{self.seed}/{number}", "backgroundColor": list(self.backgrounds)}
        svg = str(Avatar(_load_style(self._style(number)), options))
        # With system fonts the bytes would depend on the machine.
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=self.size, height=self.size, skip_system_fonts=True))

    def _style(self, number: int) -> str:
        return self.styles[number % len(self.styles)]


def collect(
    styles: Sequence[str], count: int, backgrounds: Sequence[str], size: int, seed: int, processes: int
) -> Collection:
    """Return a collection of `count` avatars, which are rendered while its files are iterated.

    Raises UserError for a style that DiceBear does not provide.
    """
    check_styles(styles)
    renderer = AvatarRenderer(tuple(styles), tuple(backgrounds), size, seed)

    def render_files() -> Iterator[tuple[str, bytes]]:
        numbers = range(count)
        images = map_in_order(renderer, numbers, processes, "rendering avatars", "avatar")
        yield from zip(map(renderer.name, numbers), images, strict=True)

    return Collection(
        name=f"DiceBear avatars: {', '.join(dict.fromkeys(styles))}",
        version=", ".join(f"{package} {version(package)}" for package in PACKAGES),
        licences=tuple(_read_licence(style) for style in dict.fromkeys(styles)),
        files=render_files(),
    )


def _read_definition(style: str) -> Any:
    return json.loads((STYLES_FOLDER / f"{style}.json").read_text(encoding="utf-8"))


@functools.cache
def _load_style(style: str) -> Style:
    return Style(_read_definition(style))


def _read_licence(style: str) -> Licence:
    meta = _read_definition(style)["meta"]
    return Licence(
        title=meta["source"]["name"],
        author=meta["creator"]["name"],
        url=meta["source"]["url"],
        licence=meta["license"]["name"],
        licence_url=meta["license"]["url"],
    )
