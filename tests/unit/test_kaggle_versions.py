"""The versions of a Kaggle data set: a version must be pinned, and a message names the current one."""

from pathlib import Path

import pytest
from support.images import DOWNLOAD_PARAMS
from support.kaggle_server import Fault, KaggleServer
from support.kaggle_source import collect_images

from omokage.base.errors import UserError
from omokage.data.sources import kaggle
from omokage.params.download import Params

pytest_plugins = ["support.kaggle_fixtures"]


def test_a_missing_version_gives_the_current_one(server: KaggleServer, hub_cache: Path) -> None:
    with pytest.raises(UserError, match=r"someone/faces version 4: .* its current version is 3: set kaggle_version: 3"):
        collect_images(version=4)
    with pytest.raises(UserError, match=r"status 404: Kaggle shows no data set someone/else: check kaggle_dataset for"):
        kaggle.collect("someone/else", 1)


@pytest.mark.parametrize("version", [None, 0, "latest"])
def test_a_version_that_is_not_pinned_is_refused_with_the_current_one(
    server: KaggleServer, hub_cache: Path, version: object
) -> None:
    params = Params(**DOWNLOAD_PARAMS | {"kaggle_version": version})
    with pytest.raises(UserError, match=r"must be a fixed version.*its current version is 3: set kaggle_version: 3"):
        kaggle.collect(params.kaggle_dataset, params.kaggle_version)
    server.faults = [Fault("about", 404)]
    with pytest.raises(
        UserError, match=r"current version failed \(.* 404\): set kaggle_version to the number that the"
    ):
        kaggle.collect(params.kaggle_dataset, params.kaggle_version)
    assert server.count_requests() == (0, 0, 2)
