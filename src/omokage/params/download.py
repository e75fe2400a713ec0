"""Parameters of `download`: the source of the images."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from omokage.base.parameters import Parameters

Colour = Annotated[str, StringConstraints(pattern="^[0-9a-f]{6}$")]
Style = Annotated[str, StringConstraints(pattern="^[a-z0-9-]+$")]
Source = Literal["avatars", "folder", "kaggle"]

# The address of a data set's page, or of its download, as copied from a browser.
PAGE = re.compile(
    r"(?:https?://)?(?:www\.)?kaggle\.com/(?:datasets|api/v1/datasets/download)/(?P<name>[\w.-]+/[\w.-]+)"
    r"(?:/versions/(?P<version>\d+))?(?:/[a-z-]*)?(?:[?#].*)?"
)
UNPINNED = 0  # stands for a version that is not fixed; the stage `download` refuses it and names the current one


def _read_version(value: Any) -> Any:
    return UNPINNED if value in (None, "latest") else value


class Params(Parameters):
    source: Source
    avatar_styles: list[Style] = Field(min_length=1)
    avatar_count: int = Field(ge=1, le=1_000_000)
    avatar_backgrounds: list[Colour] = Field(min_length=1)
    avatar_size: int = Field(ge=16, le=256)
    avatar_seed: int = Field(ge=0, lt=2**32)
    folder: Annotated[str, StringConstraints(pattern="^[^#?]+$")]
    kaggle_dataset: Annotated[str, StringConstraints(pattern=r"^\w[\w.-]*/\w[\w.-]*$")]
    kaggle_version: Annotated[int, BeforeValidator(_read_version)] = Field(ge=UNPINNED)

    @model_validator(mode="before")
    @classmethod
    def _read_page(cls, values: Any) -> Any:
        """Replace the address of a data set's page by owner/name. Its version, if any, must be `kaggle_version`."""
        page = PAGE.fullmatch(str(values.get("kaggle_dataset")))
        if not page:
            return values
        version = values.get("kaggle_version")
        if page["version"] and page["version"] != str(version):
            raise ValueError(
                f"kaggle_dataset = {values['kaggle_dataset']!r} is the address of version {page['version']}, but "
                f"kaggle_version = {version!r}: write kaggle_version: {page['version']}"
            )
        return {**values, "kaggle_dataset": page["name"]}
