"""The styles in which DiceBear can draw."""

from collections.abc import Sequence
from pathlib import Path

import dicebear_styles

from omokage.errors import Refused

STYLES = Path(next(iter(dicebear_styles.__path__)))


def check(styles: Sequence[str]) -> None:
    """Raise Refused for a style that DiceBear does not have."""
    known = sorted(path.stem for path in STYLES.glob("*.json"))
    if unknown := [style for style in styles if style not in known]:
        raise Refused(f"avatar_styles: there is no {', '.join(unknown)}: choose among {', '.join(known)}")
