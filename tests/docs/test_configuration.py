"""Tests that the configuration page matches the classes that read the settings."""

import warnings

import pytest

from recloop import config

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # Great Expectations imports sre_constants
    from tests.support import configuration_page


def test_the_page_is_up_to_date() -> None:
    assert configuration_page.PAGE.read_text(encoding="utf-8") == configuration_page.page(), (
        "docs/configuration.md is out of date: run `make docs`"
    )


def test_the_page_has_every_block() -> None:
    assert set(configuration_page.BLOCKS) == config.BLOCKS


@pytest.mark.parametrize("block", configuration_page.BLOCKS)
def test_params_names_only_settings_of_the_page(block) -> None:
    config.read_block(block, configuration_page.BLOCKS[block])
