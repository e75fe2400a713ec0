"""Illustrated faces drawn offline with DiceBear (https://www.dicebear.com): the source that needs no network."""

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import resvg_py
from dicebear import Avatar, Style

from omokage.data.pictures import Collection, Licence
from omokage.data.sources.styles import STYLES, check
from omokage.data.workers import in_order

PACKAGES = ("dicebear-styles", "dicebear-core", "resvg-py")


@dataclass(frozen=True)
class Artist:
    """Draws avatar number i: in the styles by turns, as the person whom `seed`/i stands for."""

    styles: tuple[str, ...]
    backgrounds: tuple[str, ...]
    size: int
    seed: int

    def name(self, number: int) -> str:
        """Return the file name of an avatar; the more avatars, the more names, but the old ones stay."""
        return f"{number:06d}-{self._style(number)}.png"

    def __call__(self, number: int) -> bytes:
        """Return avatar `number` as PNG, `size` pixels a side."""
        options = {"seed": f"{self.seed}/{number}", "backgroundColor": list(self.backgrounds)}
        svg = str(Avatar(_style(self._style(number)), options))
        # Fonts of the machine would make the bytes the machine's.
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=self.size, height=self.size, skip_system_fonts=True))

    def _style(self, number: int) -> str:
        return self.styles[number % len(self.styles)]


def collect(
    styles: Sequence[str], count: int, backgrounds: Sequence[str], size: int, seed: int, processes: int
) -> Collection:
    """Return `count` avatars, drawn as they are asked for; raise Refused for a style that DiceBear does not have."""
    check(styles)
    artist = Artist(tuple(styles), tuple(backgrounds), size, seed)

    def pictures() -> Iterator[tuple[str, bytes]]:
        numbers = range(count)
        drawn = in_order(artist, numbers, processes, "drawing avatars", "avatar")
        yield from zip(map(artist.name, numbers), drawn, strict=True)

    return Collection(
        name=f"DiceBear avatars: {', '.join(dict.fromkeys(styles))}",
        version=", ".join(f"{package} {version(package)}" for package in PACKAGES),
        licences=tuple(_licence(style) for style in dict.fromkeys(styles)),
        files=pictures(),
    )


def _definition(style: str) -> Any:
    return json.loads((STYLES / f"{style}.json").read_text(encoding="utf-8"))


@functools.cache
def _style(style: str) -> Style:
    return Style(_definition(style))


def _licence(style: str) -> Licence:
    meta = _definition(style)["meta"]
    return Licence(
        title=meta["source"]["name"],
        author=meta["creator"]["name"],
        url=meta["source"]["url"],
        licence=meta["license"]["name"],
        licence_url=meta["license"]["url"],
    )
