"""Tests that tiny encoders of several kinds read one behaviour with many candidates."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    RobertaConfig,
    RobertaModel,
)

from recloop.training.base_models import resolve_base
from recloop.training.device import Compute
from recloop.training.modules.cross_encoder import RankerConfig
from recloop.training.modules.tree_attention import first_position_id, tree_attention_mask
from recloop.training.ranker import Ranker

SHAPE: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
SHAPE |= {"num_attention_heads": 2, "vocab_size": 30522, "initializer_range": 0.5}
DISTIL: dict[str, Any] = {
    "dim": 16,
    "hidden_dim": 32,
    "n_layers": 2,
    "n_heads": 2,
    "vocab_size": 30522,
}
KINDS = {
    "bert": BertModel(BertConfig(**SHAPE)),
    "roberta": RobertaModel(RobertaConfig(**SHAPE, type_vocab_size=1)),
    "distilbert": DistilBertModel(DistilBertConfig(**DISTIL, initializer_range=0.5)),
    "electra": ElectraModel(ElectraConfig(**SHAPE, embedding_size=16)),
}


def test_a_candidate_attends_to_the_behaviour_and_to_itself() -> None:
    """Two tokens of behaviour, candidates of one and of two tokens, then padding."""
    segments = torch.tensor([[0, 0, 1, 2, 2, -1]])
    seen = tree_attention_mask(segments, causal=False)[0, 0] == 0
    assert seen.int().tolist() == [
        [1, 1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 1, 1, 0],
        [1, 1, 0, 0, 0, 1],
    ]
    before = tree_attention_mask(segments, causal=True)[0, 0] == 0
    assert before.tolist() == (seen & torch.ones(6, 6, dtype=torch.bool).tril()).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pair_has_the_same_logit_alone_and_among_others(kind, tmp_path) -> None:
    KINDS[kind].save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(tmp_path)
    config = RankerConfig(base=str(tmp_path), max_tokens=24)
    ranker = Ranker(config, Compute(torch.device("cpu"), bf16=False))
    offered = ["a quiet film", "horror", "a long and funny film of the sea"]
    together = ranker.logits(["drama ; comedy"] * 3, offered)
    alone = [ranker.logits(["drama ; comedy"], [each])[0] for each in offered]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.ptp(together) > 1e-3


def test_positions_begin_where_the_model_begins_them() -> None:
    """RoBERTa's positions begin after the padding's, which is 1."""
    assert {kind: first_position_id(model) for kind, model in KINDS.items()} == {
        "bert": 0,
        "roberta": 2,
        "distilbert": 0,
        "electra": 0,
    }
