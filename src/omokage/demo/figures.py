"""Show images in the page as HTML, with their PNG files inside it, so that the server stores no file."""

import base64
import html
import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from omokage.stamps.stamp import save_png


def render_figure(
    image: Image.Image, alternative: str, caption: str, stamp: Mapping[str, Any], file_name: str = ""
) -> str:
    """Return a figure element with the image as a PNG with this stamp, and with a link to save it as `file_name`.

    `alternative` describes the image to people who do not see it. Without a file name there is no link.
    """
    content = io.BytesIO()
    save_png(image, content, stamp)
    address = f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"
    link = f'<a class="save" download="{html.escape(file_name)}" href="{address}">Download PNG</a>' if file_name else ""
    return (
        f'<figure><img src="{address}" width="{image.width}" height="{image.height}" alt="{html.escape(alternative)}">'
        f"<figcaption>{html.escape(caption)}</figcaption>{link}</figure>"
    )
