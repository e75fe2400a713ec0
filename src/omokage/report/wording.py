"""Format numbers, lists and values as text."""

import json
from collections.abc import Sequence
from typing import Any


def format_number(value: float) -> str:
    """Return a number as text: whole if it is an integer or at least 1,000, otherwise with three significant digits."""
    if isinstance(value, int) or (value == round(value) and abs(value) >= 100):
        return f"{round(value):,}".replace("-", "−")
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def format_count(value: int, noun: str) -> str:
    """Return a number followed by `noun`, with an "s" appended unless the number is 1."""
    return f"{value:,} {noun}" + ("" if value == 1 else "s")


def format_percent(fraction: float) -> str:
    """Return a fraction as a percentage with a no-break space: whole from 10 % on, with one decimal below."""
    return f"{100 * fraction:.{0 if abs(fraction) >= 0.0995 else 1}f}\u00a0%".replace("-", "−")


def format_ratio(ratio: float) -> str:
    """Return a ratio such as '1.3 times', or '12 times' from 10 on."""
    return f"{ratio:.{0 if ratio >= 9.95 else 1}f} times"


def join_words(items: Sequence[str]) -> str:
    """Return the items joined to 'a', 'a and b' or 'a, b and c'."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def format_signed(value: float) -> str:
    """Return a number, which may be infinite, with one decimal and with its sign, also if it is positive."""
    return f"{value:+z.1f}".replace("-", "−").replace("inf", "∞")


def format_duration(seconds: float) -> str:
    """Return seconds as text, such as '8 s', '5 min 21 s' or '2 h 5 min'."""
    if seconds < 59.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_value(value: Any) -> str:
    """Return a parameter's value: a string without quotes, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
