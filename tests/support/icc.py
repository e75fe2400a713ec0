"""Write small ICC profiles (version 2) of RGB, grey and CMYK colour spaces, and compute their colours exactly.

Pillow can only create a profile of sRGB. Source: ICC.1:2001-04, sections 6.1 (header), 6.3 (tags) and 6.5 (types).
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

D50 = (0.96422, 1.0, 0.82491)
# The primaries adapted to D50 as columns of XYZ: rows X, Y, Z.
SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)


@dataclass(frozen=True)
class RgbSpace:
    """An RGB colour space: its matrix to XYZ (D50), and its gamma, or None for the curve of sRGB."""

    name: str
    to_xyz: NDArray[np.float64]
    gamma: float | None

    def decode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return linear light, 0 to 1, for encoded values, 0 to 1."""
        return decode_srgb(values) if self.gamma is None else values**self.gamma

    def encode(self, light: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return encoded values, 0 to 1, for linear light, 0 to 1."""
        return encode_srgb(light) if self.gamma is None else light ** (1 / self.gamma)

    def profile(self) -> bytes:
        """Return the ICC profile of this colour space."""
        curve = _curve([round(65535 * float(decode_srgb(np.array(i / 1023)))) for i in range(1024)])
        if self.gamma is not None:
            curve = struct.pack(">4s4xIH", b"curv", 1, round(self.gamma * 256))
        tags = {b"wtpt": _xyz(D50)}
        for index, channel in enumerate((b"r", b"g", b"b")):
            tags[channel + b"XYZ"] = _xyz(tuple(self.to_xyz[:, index]))
            tags[channel + b"TRC"] = curve
        return _write_profile(b"mntr", b"RGB ", b"XYZ ", tags)


ADOBE_RGB = RgbSpace(
    "Adobe RGB",
    np.array([[0.6097559, 0.2052401, 0.1492240], [0.3111242, 0.6256560, 0.0632197], [0.0194811, 0.0608902, 0.7448387]]),
    563 / 256,
)
DISPLAY_P3 = RgbSpace(
    "Display-P3",
    np.array(
        [[0.5151187, 0.2919778, 0.1571035], [0.2411892, 0.6922441, 0.0665668], [-0.0010505, 0.0418791, 0.7840713]]
    ),
    None,
)
PROPHOTO = RgbSpace(
    "ProPhoto",
    np.array([[0.7976749, 0.1351917, 0.0313534], [0.2880402, 0.7118741, 0.0000857], [0.0, 0.0, 0.8252100]]),
    1.8,
)


def decode_srgb(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return linear light for encoded values of sRGB, both 0 to 1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encode_srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return encoded values of sRGB for linear light, both 0 to 1."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def convert_from_srgb(image: NDArray[np.uint8], space: RgbSpace) -> NDArray[np.uint8]:
    """Return the values in `space` of the colours of an sRGB image, both uint8 [h, w, 3]."""
    xyz = decode_srgb(image / 255) @ SRGB_TO_XYZ.T
    light = np.clip(xyz @ np.linalg.inv(space.to_xyz).T, 0, 1)
    return np.round(255 * space.encode(light)).astype(np.uint8)


def convert_to_srgb(values: NDArray[np.uint8], space: RgbSpace) -> NDArray[np.float64]:
    """Return the exact colours in sRGB, 0 to 255, of an image in `space`, uint8 [h, w, 3]."""
    xyz = space.decode(values / 255) @ space.to_xyz.T
    return 255 * encode_srgb(np.clip(xyz @ np.linalg.inv(SRGB_TO_XYZ).T, 0, 1))


def grey_profile(gamma: float) -> bytes:
    """Return the profile of a grey scale with this gamma."""
    curve = struct.pack(">4s4xIH", b"curv", 1, round(gamma * 256))
    return _write_profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"kTRC": curve})


def cmyk_profile(paper: tuple[int, int, int], ink: tuple[int, int, int]) -> bytes:
    """Return a CMYK profile of a press that prints the colour `ink` wherever there is any ink, on `paper`.

    Colours are CIELAB in 8 bits: L 0 to 255 for 0 to 100, a and b offset by 128.
    """
    grid = b"".join(bytes(paper if node == 0 else ink) for node in range(2**4))
    identity = struct.pack(">9i", *(65536 if i % 4 == 0 else 0 for i in range(9)))
    table = struct.pack(">4s4x4B", b"mft1", 4, 3, 2, 0) + identity
    return _write_profile(
        b"prtr",
        b"CMYK",
        b"Lab ",
        {b"wtpt": _xyz(D50), b"A2B0": table + bytes(range(256)) * 4 + grid + bytes(range(256)) * 3},
    )


def _xyz(values: tuple[float, ...]) -> bytes:
    return struct.pack(">4s4x3i", b"XYZ ", *(round(value * 65536) for value in values))


def _curve(values: list[int]) -> bytes:
    return struct.pack(f">4s4xI{len(values)}H", b"curv", len(values), *values)


def _write_profile(device: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    text = b"test\0"
    tags = {
        b"desc": struct.pack(">4s4xI", b"desc", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + text,
        **tags,
    }
    directory, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        directory += struct.pack(">4sII", name, start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = start + len(data)
    header = struct.pack(
        ">I4sI4s4s4s12x4s28x3i",
        size,
        bytes(4),
        0x02400000,
        device,
        space,
        connection,
        b"acsp",
        *(round(value * 65536) for value in D50),
    )
    return header.ljust(128, b"\0") + directory + data
