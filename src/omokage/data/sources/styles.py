"""The avatar styles that DiceBear provides."""

from collections.abc import Sequence
from pathlib import Path

import dicebear_styles

from omokage.base.errors import UserError

STYLES_FOLDER = Path(next(iter(dicebear_styles.__path__)))


def check_styles(styles: Sequence[str]) -> None:
    """Raise UserError if any of `styles` is not a style of DiceBear."""
    available = sorted(path.stem for path in STYLES_FOLDER.glob("*.json"))
    if unknown := [style for style in styles if style not in available]:
        raise UserError(
            f"avatar_styles: DiceBear has no style {', '.join(unknown)}: choose from {', '.join(available)}"
        )
