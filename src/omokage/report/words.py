"""Numbers as people write them."""

from collections.abc import Sequence


def number(value: float) -> str:
    """Return three significant digits, or a whole number with commas, without an exponent where that stays short."""
    if isinstance(value, int) or (value == round(value) and abs(value) >= 100):
        return f"{round(value):,}".replace("-", "−")
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}").replace("-", "−")


def count(value: int, thing: str) -> str:
    """Return a number with its noun, in the plural where there is not one."""
    return f"{value:,} {thing}" + ("" if value == 1 else "s")


def percent(fraction: float) -> str:
    """Return a fraction as a percentage, without a line break in it: whole, or to a tenth below ten."""
    return f"{100 * fraction:.{0 if abs(fraction) >= 0.0995 else 1}f}\u00a0%".replace("-", "−")


def times(ratio: float) -> str:
    """Return a ratio as '1.3 times' or '12 times'."""
    return f"{ratio:.{0 if ratio >= 9.95 else 1}f} times"


def listed(items: Sequence[str]) -> str:
    """Return 'a', 'a and b' or 'a, b and c'."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def signed(value: float) -> str:
    """Return a number to a tenth, always with its sign."""
    return f"{value:+z.1f}".replace("-", "−")
