"""Cross-encoder of the LLM ranker: reads a user's behaviour once and scores each candidate with it.

Behaviour and candidates form one sequence. By tree attention, a candidate sees the behaviour and
itself but no other candidate, so its logit equals that of the pair alone. Two forms:

- `classification`: an encoder with one logit, read at the last token of each candidate.
- `yes-no`: a decoder, whose logit is logit(Yes) − logit(No) of the token after a question.

The module handles texts and logits only, no requests or losses.

References:
    Miao et al. 2024, "SpecInfer" (tree attention).
    Nogueira & Cho 2019, "Passage Re-ranking with BERT".
    Nogueira et al. 2020, "Document Ranking with a Pretrained Sequence-to-Sequence Model" (monoT5).
"""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from recloop.config import ConfigModel
from recloop.scoring.ranker.packing import PairTokenizer, RankerForm
from recloop.training.modules.tree_attention import (
    YesNoHead,
    first_position_id,
    transformer_body,
    tree_attention_mask,
    unwrap_peft,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_PADDING = -1  # Segment of padding tokens.


class RankerConfig(ConfigModel):
    """Settings of the ranker: base model, input and training."""

    base: str = "minilm"
    """Language model: `minilm`, a Hugging Face id or a local folder; a decoder for `yes-no`."""
    form: RankerForm = "classification"
    """An encoder with a classification head, or a decoder that answers a question by yes or no."""
    history_length: int = 8
    """Items of the history that are read."""
    max_tokens: int = 64
    """Tokens of history, query and one candidate together; a candidate gets a third of them."""
    tuning: Literal["full", "lora"] = "full"
    """Method of fine-tuning the language model."""
    lora_rank: int = 8
    """Rank of LoRA."""
    lora_alpha: int = 16
    """Scaling of LoRA: alpha / rank."""
    batch: int = 32
    """Candidates in a step."""
    epochs: int = 2
    """Passes over the data, at most."""
    learning_rate: float = 5e-5
    """Learning rate of AdamW."""
    hard_negatives: int = 3
    """Negatives of high score for each positive."""
    random_negatives: int = 1
    """Negatives drawn at random for each positive."""
    validation_share: float = 0.05
    """Share of the requests that is held out to stop early."""
    validate_every: int = 100
    """Steps between two validations on the held-out requests."""
    patience: int = 3
    """Validations in a row without a better one that end training."""
    max_seconds: float = 600.0
    """Longest time of training, in seconds."""
    seed: int = 42
    """Seed of the random numbers."""


class PackedBatch(NamedTuple):
    """Batch of packed sequences (see `PackedSequence`), padded to the longest one.

    Attributes:
        tokens: Token ids, `(sequences, length)`.
        segments: Segments, `(sequences, length)`; -1 for padding.
        position_ids: Position ids, `(sequences, length)`.
        pool_positions: Positions of the candidates' last tokens in the flattened batch, `(pairs,)`.
    """

    tokens: Tensor
    segments: Tensor
    position_ids: Tensor
    pool_positions: Tensor


class CrossEncoder(nn.Module):
    """Base model with a head and a tokenizer, from pairs of texts to logits.

    Args:
        backbone: Base model, with or without PEFT.
        tokenizer: Its tokenizer.
        config: Settings of the ranker.

    Raises:
        ValueError: See `load_cross_encoder`.
    """

    def __init__(
        self, backbone: nn.Module, tokenizer: "PreTrainedTokenizerBase", config: RankerConfig
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.tokenizer = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        body = transformer_body(backbone)
        self._first_position = first_position_id(body)
        self._has_token_types = getattr(body.config, "type_vocab_size", 0) > 1
        start = tokenizer.bos_token_id if config.form == "yes-no" else None
        self.start_tokens: tuple[int, ...] = () if start is None else (start,)
        self._pairs = PairTokenizer(
            self.tokenizer, config.max_tokens, config.form, self.start_tokens
        )
        if config.form == "yes-no":
            question = len(self._pairs.template.after)
            self._head: nn.Module = YesNoHead(
                unwrap_peft(backbone), *_answer_tokens(self.tokenizer, question, config)
            )
        else:
            self._head = nn.Linear(body.config.hidden_size, 1)

    def trainable_weights(self) -> dict[str, Tensor]:
        """Return the trainable parameters by name, each in its shape, not copied."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def load_trainable_weights(self, weights: dict[str, Tensor]) -> None:
        """Load weights that `trainable_weights` returned, in the same shapes.

        Raises:
            ValueError: The names of the weights are not those of this model.
        """
        if weights.keys() != self.trainable_weights().keys():
            raise ValueError(
                f"these weights do not fit {self.config.base}: their names differ; load them with"
                " the settings with which they were trained"
            )
        self.load_state_dict(weights, strict=False)

    def tokenizer_json(self) -> str:
        """Return the tokenizer as JSON, without padding and truncation."""
        return self.tokenizer.to_str()

    def batch(
        self, behaviours: Sequence[str], candidates: Sequence[str], device: torch.device
    ) -> PackedBatch:
        """Pack pairs of texts in order; consecutive pairs of one behaviour share a sequence.

        Args:
            behaviours: Behaviour of each pair.
            candidates: Candidate of each pair.
            device: Device of the result.
        """
        pairs = zip(behaviours, candidates, strict=True)
        sequences = [
            self._pairs.pack(behaviour, [candidate for _, candidate in group])
            for behaviour, group in groupby(pairs, key=itemgetter(0))
        ]
        shape = (len(sequences), max(len(sequence.tokens) for sequence in sequences))
        tokens, segments, position_ids = (np.full(shape, fill) for fill in (0, _PADDING, 0))
        for row, sequence in enumerate(sequences):
            length = len(sequence.tokens)
            tokens[row, :length] = sequence.tokens
            segments[row, :length] = sequence.segments
            position_ids[row, :length] = sequence.position_ids
        pool_positions = np.concatenate(
            [row * shape[1] + sequence.pool_positions for row, sequence in enumerate(sequences)]
        )
        arrays = (tokens, segments, position_ids, pool_positions)
        return PackedBatch(*(torch.from_numpy(array).to(device) for array in arrays))

    def forward(
        self, tokens: Tensor, segments: Tensor, position_ids: Tensor, pool_positions: Tensor
    ) -> Tensor:
        """Return the logits `(pairs,)`, float32, of the fields of a `PackedBatch`."""
        mask = tree_attention_mask(segments, causal=self.config.form == "yes-no")
        types = {"token_type_ids": (segments > 0).long()} if self._has_token_types else {}
        output = transformer_body(self.backbone)(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=position_ids + self._first_position,
            **types,
        )
        logits: Tensor = self._head(output.last_hidden_state.flatten(0, 1)[pool_positions])
        return logits[:, 0].float()


def load_cross_encoder(folder: Path | str, config: RankerConfig) -> CrossEncoder:
    """Load a base model and make it a cross-encoder; its head may be initialised at random.

    Only safetensors weights are read: nothing is unpickled and no remote code runs.

    Args:
        folder: Local folder or Hugging Face id.
        config: Settings of the ranker.

    Raises:
        ValueError: The form is `classification` and the base a decoder; or it is `yes-no`, and the
            question takes more than half of `max_tokens`, or the tokenizer has the same tokens for
            Yes and No.
    """
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    local = Path(folder).is_dir()  # Hugging Face is not contacted for a local folder.
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local)
    kind = AutoModelForCausalLM if config.form == "yes-no" else AutoModel
    backbone: PreTrainedModel = kind.from_pretrained(
        folder,
        local_files_only=local,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
    )
    backbone.config.use_cache = False
    return CrossEncoder(_apply_tuning(backbone, config), tokenizer, config)


def _apply_tuning(backbone: "PreTrainedModel", config: RankerConfig) -> nn.Module:
    if config.tuning == "full":
        return backbone
    from peft import LoraConfig, TaskType, get_peft_model

    forms = {"classification": TaskType.FEATURE_EXTRACTION, "yes-no": TaskType.CAUSAL_LM}
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
        task_type=forms[config.form],
    )
    tuned: nn.Module = get_peft_model(backbone, lora)
    return tuned


def _answer_tokens(tokenizer: Tokenizer, question: int, config: RankerConfig) -> tuple[int, int]:
    """Return the first tokens at which " Yes" and " No" differ.

    Args:
        tokenizer: Tokenizer of the decoder.
        question: Length of the question in tokens.
        config: Settings of the ranker.
    """
    if question > config.max_tokens // 2:
        raise ValueError(
            f"ranker.max_tokens must be at least {2 * question}, got {config.max_tokens}: the"
            f" question alone takes {question} tokens"
        )
    yes, no = (tokenizer.encode(text, add_special_tokens=False).ids for text in (" Yes", " No"))
    for first, second in zip(yes, no, strict=False):
        if first != second:
            return first, second
    raise ValueError("the tokenizer has the same tokens for Yes and No; choose another ranker.base")
