"""The licence identifiers of the Hugging Face hub for the licences that data sets name."""

import re
from collections.abc import Mapping, Sequence

UNKNOWN, OTHER = "unknown", "other"
CREATIVE_COMMONS = re.compile(r"\bCC[ -]BY((?:-(?:NC|SA|ND))*)[ -](\d\.\d)\b", re.IGNORECASE)
WORDS = {"CC0": "cc0-1.0", "MIT": "mit", "Apache 2.0": "apache-2.0"}


def find_identifier(licence: str) -> str:
    """Return the hub's identifier of a licence such as "CC BY 4.0", or "other" if it is not one of those known here."""
    if match := CREATIVE_COMMONS.search(licence):
        return f"cc-by{match[1].lower()}-{match[2]}"
    return next((identifier for word, identifier in WORDS.items() if word in licence), OTHER)


def find_common_identifier(licences: Sequence[Mapping[str, str]]) -> str:
    """Return the identifier for data under `licences`: "unknown" if there are none, "other" if they differ."""
    identifiers = {find_identifier(item["licence"]) for item in licences}
    return UNKNOWN if not identifiers else identifiers.pop() if len(identifiers) == 1 else OTHER
