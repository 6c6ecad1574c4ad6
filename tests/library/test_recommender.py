"""Tests that the public recommender ranks as the service does."""

import doctest
from pathlib import Path
from typing import Any

import pytest

import recloop.library.recommender
from recloop import Recommender
from recloop.config import Home
from recloop.registry.versions import Registry, UnknownVersionError
from tests.support import tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_model.payload().save(folder)
    return folder


def test_the_example_in_the_docstring(model_folder: Path) -> None:
    result = doctest.testmod(recloop.library.recommender, extraglobs={"model_folder": model_folder})
    assert result.attempted == 2
    assert result.failed == 0


def test_options_of_a_list(model_folder: Path) -> None:
    recommender = Recommender.load(str(model_folder))
    assert len(recommender.recommend()) == 5
    assert len(recommender.recommend(k=2)) == 2
    best = recommender.recommend(history=["north1"], k=1, explain=True)[0]
    assert best.reasons
    rest = recommender.recommend(history=["north1"], exclude=[best.item_id])
    assert best.item_id not in {item.item_id for item in rest}


@pytest.mark.parametrize(
    "arguments",
    [{"history": "north1"}, {"history": [5]}, {"exclude": "north1"}, {"exclude": [5]}, {"user": 5}],
)
def test_ids_are_strings_in_a_sequence(model_folder: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="ids are strings"):
        Recommender.load(str(model_folder)).recommend(**arguments)


def test_a_list_has_a_positive_length(model_folder: Path) -> None:
    with pytest.raises(ValueError, match="k must be positive"):
        Recommender.load(str(model_folder)).recommend(k=0)


def test_a_version_in_the_home(home: Home, model_folder: Path, tmp_path: Path) -> None:
    Registry(home).register("v1", model_folder, tmp_path, tiny_model.LINEAGE)
    assert len(Recommender.load("v1").recommend(user="somebody")) == 5


def test_an_unknown_version_is_named(home: Home) -> None:
    with pytest.raises(UnknownVersionError, match="v9"):
        Recommender.load("v9")
