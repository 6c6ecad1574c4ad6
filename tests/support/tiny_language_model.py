"""Tiny encoders and decoders with random weights, and their tokenizers, as local folders."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

TITLES = [f"{word} film number {n}" for n in range(6) for word in ("sad", "very funny")]
_SPECIAL = {"pad_token": "[PAD]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
_UNKNOWN = {"unk_token": "[UNK]"}
_ENDS = {"cls_token": "[CLS]", "sep_token": "[SEP]"}


def encoder_type(folder: Path) -> Path:
    """Write a BERT: WordPiece, one layer, 16 wide."""
    tokenizer = _train(models.WordPiece(**_UNKNOWN), trainers.WordPieceTrainer)
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, ids)
    tokenizer.decoder = decoders.WordPiece()
    config = BertConfig(**_sizes(tokenizer), max_position_embeddings=64)
    return _save(folder, BertModel(config), tokenizer, {**_SPECIAL, **_ENDS})


def decoder_type(folder: Path) -> Path:
    """Write a Llama: BPE, one layer, 16 wide, two heads that share keys and values, padded left."""
    tokenizer = _train(models.BPE(**_UNKNOWN), trainers.BpeTrainer)
    config = LlamaConfig(**_sizes(tokenizer), num_key_value_heads=1, eos_token_id=2, bos_token_id=1)
    names = {"eos_token": "[SEP]", "unk_token": "[UNK]", "padding_side": "left"}
    return _save(folder, LlamaModel(config), tokenizer, names)


def _train(model: models.Model, trainer: type) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    tokenizer.train_from_iterator(TITLES, trainer(vocab_size=80, special_tokens=special))
    return tokenizer


def _sizes(tokenizer: Tokenizer) -> dict[str, Any]:
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    return {**shape, "num_attention_heads": 2, "vocab_size": tokenizer.get_vocab_size()}


def _save(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer, names: dict) -> Path:
    torch.manual_seed(0)
    for p in model.parameters():
        torch.nn.init.normal_(p, mean=float(p.ndim == 1) * 0.5, std=0.2)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder
