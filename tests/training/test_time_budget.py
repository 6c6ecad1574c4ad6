"""Tests that training fits into the time that it is given."""

import torch

from recloop.training.device import Compute
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.finetuning.time_budget import Speed, measure_speed, within_budget
from tests.support.ring import ring_config, ring_sequences, ring_texts

CPU = Compute(torch.device("cpu"), bf16=False)
FREE = {"epochs", "share", "text_passes"}
CONFIG = TrainConfig(epochs=72, text_passes=(9, 24), validate_every=6)


def _planned(config: TrainConfig, speed: Speed) -> float:
    """Return the seconds that tuning and refit take at this speed."""
    refit = config.continuing(config.epochs).epochs
    validations = config.epochs // config.validate_every
    epochs = config.share * speed.epoch * (config.epochs + refit)
    return epochs + validations * speed.validation + len(config.text_passes) * speed.text_pass


def test_everything_that_fits_is_kept() -> None:
    assert within_budget(CONFIG, Speed(1.0, 0.5, 20.0), 300, FREE) == CONFIG


def test_the_plan_keeps_the_bound_at_any_speed() -> None:
    for epoch in (0.5, 2.0, 10.0, 60.0):
        for text_pass in (0.0, 5.0, 40.0, 1_000.0):
            speed = Speed(epoch, 1.0, text_pass)
            for seconds in (60.0, 120.0, 600.0):
                config = within_budget(CONFIG, speed, seconds, FREE)
                # A fiftieth of the users four times is the least that is trained.
                least = _planned(config.model_copy(update={"share": 0.02}), speed)
                assert _planned(config, speed) <= max(seconds, least)
                assert 4 <= config.epochs <= 72
                assert len(config.text_passes) * text_pass <= seconds / 3
                assert all(number <= config.epochs for number in config.text_passes)


def test_what_the_user_sets_is_kept() -> None:
    config = within_budget(CONFIG, Speed(100.0, 1.0, 100.0), 60, set())
    assert config == CONFIG
    assert within_budget(CONFIG, Speed(100.0, 1.0, 0.0), 60, {"epochs"}).share == 1.0


def test_measuring_leaves_the_random_numbers_as_they_are() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    speed = measure_speed(ring_sequences(), ring_texts(), ring_config(), CPU, None, 2.0)
    assert torch.equal(torch.rand(3), expected)
    assert speed.epoch > 0
    assert speed.text_pass == 2.0
