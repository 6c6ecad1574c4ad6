"""Tests of item vectors and the user tower."""

import pytest
import torch

from recloop.data.user_sequences import SIGNAL_WIDTH
from recloop.training.modules.tower import ItemVectors, PooledDropout, TowerConfig, UserTower


def test_tower_does_not_look_ahead() -> None:
    tower = UserTower(TowerConfig(dim=8, window=5)).eval()
    history = torch.randn(1, 5, 8)
    changed = history.clone()
    changed[0, 3:] = torch.randn(2, 8)
    signals = torch.randint(1, 5, (1, 5, SIGNAL_WIDTH))
    later = signals.clone()
    later[0, 3:] = 5
    before, after = tower(history, signals), tower(changed, later)
    torch.testing.assert_close(before[0, :3], after[0, :3])
    assert not torch.allclose(before[0, 3], after[0, 3])


def test_unknown_or_disabled_signals_change_nothing() -> None:
    history, unknown = torch.randn(1, 5, 8), torch.zeros(1, 5, SIGNAL_WIDTH, dtype=torch.long)
    signals = torch.full((1, 5, SIGNAL_WIDTH), 3)
    plain = UserTower(TowerConfig(dim=8, window=5, events=False, gaps=False)).eval()
    torch.testing.assert_close(plain(history, signals), plain(history, unknown))
    tower = UserTower(TowerConfig(dim=8, window=5)).eval()
    assert not torch.allclose(tower(history, signals), tower(history, unknown))
    tower.load_state_dict(plain.state_dict())
    torch.testing.assert_close(tower(history, unknown), plain(history, unknown))


def test_pooled_dropout_drops_its_rate_and_keeps_the_mean() -> None:
    dropout = PooledDropout(0.25).train()
    dropout.refresh(torch.device("cpu"))
    out = dropout(torch.ones(200, 200))
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert out.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(dropout.eval()(torch.ones(3)), torch.ones(3))


def test_unknown_items_are_text_alone() -> None:
    vectors = ItemVectors(2, 3, TowerConfig(dim=4)).eval()
    text = torch.randn(2, 3)
    out = vectors(text, torch.tensor([True, False]))
    torch.testing.assert_close(out[1], vectors.adapter(text)[1])
    torch.testing.assert_close(out[0], vectors.adapter(text)[0] + vectors.ids[0])
