"""The address of a Kaggle data set, as copied from a browser, and names that are refused."""

import pytest
from pydantic import ValidationError
from support.images import DOWNLOAD_PARAMS

from omokage.base.errors import UserError
from omokage.config.validation import validate
from omokage.params.download import Params

PAGE = "https://www.kaggle.com/datasets/some-one/faces.v2"


@pytest.mark.parametrize(
    "address",
    [
        PAGE,
        f"{PAGE}/",
        f"{PAGE}/data?select=a.png#top",
        f"{PAGE}?resource=download",
        f"{PAGE}/versions/7",
        PAGE.removeprefix("https://www."),
        PAGE.replace("https", "http"),
        "https://www.kaggle.com/api/v1/datasets/download/some-one/faces.v2",
    ],
)
def test_the_address_of_a_data_set_is_understood(address: str) -> None:
    params = Params(**DOWNLOAD_PARAMS | {"kaggle_dataset": address, "kaggle_version": 7})
    assert params.kaggle_dataset == "some-one/faces.v2"


def test_an_address_of_another_version_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        validate(Params, DOWNLOAD_PARAMS | {"kaggle_dataset": f"{PAGE}/versions/7", "kaggle_version": 2})
    assert str(caught.value) == (
        f"params.yaml: kaggle_dataset = '{PAGE}/versions/7' is the address of version 7, but kaggle_version = 2: write "
        "kaggle_version: 7"
    )


@pytest.mark.parametrize(
    "name",
    [
        *("../..", "./x", "a/..", "a", "a/b/c", "a/b?c", "https://www.kaggle.com/datasets/../..", f"{PAGE}/../../x"),
        *("https://www.kaggle.com/competitions/faces", "https://kaggle.com.example.org/datasets/a/b"),
    ],
)
def test_a_data_set_name_cannot_lead_out_of_the_cache(name: str) -> None:
    with pytest.raises(ValidationError, match="kaggle_dataset"):
        Params.model_validate({"kaggle_dataset": name})
