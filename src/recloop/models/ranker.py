"""The LLM ranker: a cross-encoder that reads a person's behaviour once, and each candidate beside it.

Behaviour and candidates are one sequence: a trunk whose branches see it and themselves, and never one
another (tree attention, Miao et al. 2024, SpecInfer), so that a logit is that of its pair alone.
`classification`: an encoder with a head of one logit, at the last token of each candidate (after Nogueira
& Cho 2019, monoBERT). `yes-no`: a decoder is asked, and its logit is `logit(Yes) - logit(No)` of the
next token (after Nogueira et al. 2020, monoT5).
Knows texts and logits, nothing of requests, losses or the fast path.
"""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from recloop.config import Settings
from recloop.models.pairs import Reader, question_frame
from recloop.models.sight import Odds, body_of, first_place, plain, sight

Form = Literal["classification", "yes-no"]
_BASES = {"classification": AutoModel, "yes-no": AutoModelForCausalLM}
_PADDING = -1  # the segment of what fills a batch up


class RankerConfig(Settings):
    """Base model, what it reads, and how it is tuned.

    `shown`: items of the history that are read. `max_tokens`: of the behaviour with one candidate,
    which gets a third of them. `batch`: candidates in a step. `hard_negatives` and
    `random_negatives` are per positive. Training ends after `epochs`, after `max_seconds`, or when
    `patience` looks at the share `held_out` of the requests (one every `judge_every` steps) found
    nothing better.
    """

    base: str = "minilm"
    form: Form = "classification"
    shown: int = 8
    max_tokens: int = 64
    tuning: Literal["full", "lora"] = "full"
    lora_rank: int = 8
    lora_alpha: int = 16
    batch: int = 32
    epochs: int = 2
    learning_rate: float = 5e-5
    hard_negatives: int = 3
    random_negatives: int = 1
    held_out: float = 0.05
    judge_every: int = 100
    patience: int = 3
    max_seconds: float = 600.0
    seed: int = 42


class Batch(NamedTuple):
    """Sheets of several behaviours: `(sheets, length)`, padded, and `ends` `(pairs,)` into all of them."""

    tokens: Tensor
    segments: Tensor
    places: Tensor
    ends: Tensor


class CrossEncoder(nn.Module):
    """A base model and its tokenizer: pairs of texts to logits."""

    def __init__(
        self, backbone: nn.Module, tokenizer: PreTrainedTokenizerBase, config: RankerConfig
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.config = config
        self.words = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        body = body_of(backbone)
        self._first_place = first_place(body)
        self._typed = getattr(body.config, "type_vocab_size", 0) > 1
        if config.form == "yes-no":
            start = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
            framed = partial(question_frame, before=start)
            self._reader = Reader(self.words, config.max_tokens, framed)
            question = len(self._reader.frame.after)
            self._head: nn.Module = Odds(plain(backbone), *_answers(self.words, question, config))
        else:
            self._reader = Reader(self.words, config.max_tokens)
            self._head = nn.Linear(body.config.hidden_size, 1)

    def tuned(self) -> dict[str, Tensor]:
        """The weights that training changes; they are the model's own, not copies."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def restore(self, tuned: dict[str, Tensor]) -> None:
        """Put back what `tuned` gave.

        Raises:
            ValueError: these are other weights than those of this model.
        """
        if tuned.keys() != self.tuned().keys():
            raise ValueError(f"these weights do not fit {self.config.base}")
        self.load_state_dict(tuned, strict=False)

    def tokenizer_json(self) -> str:
        """The tokenizer as it serves, without padding and truncation."""
        return self.words.to_str()

    def batch(
        self, behaviours: Sequence[str], candidates: Sequence[str], device: torch.device
    ) -> Batch:
        """Pairs of texts, in order; a behaviour that follows itself is read once."""
        pairs = zip(behaviours, candidates, strict=True)
        sheets = [
            self._reader.sheet(behaviour, [candidate for _, candidate in run])
            for behaviour, run in groupby(pairs, key=itemgetter(0))
        ]
        shape = (len(sheets), max(len(sheet.tokens) for sheet in sheets))
        tokens, segments, places = (np.full(shape, fill) for fill in (0, _PADDING, 0))
        for row, sheet in enumerate(sheets):
            length = len(sheet.tokens)
            tokens[row, :length] = sheet.tokens
            segments[row, :length] = sheet.segments
            places[row, :length] = sheet.places
        ends = np.concatenate([row * shape[1] + sheet.ends for row, sheet in enumerate(sheets)])
        return Batch(
            *(torch.from_numpy(each).to(device) for each in (tokens, segments, places, ends))
        )

    def forward(self, tokens: Tensor, segments: Tensor, places: Tensor, ends: Tensor) -> Tensor:
        """`(pairs,)` logits of engagement, in float32, of what stands in a `Batch`."""
        seen = sight(segments, causal=self.config.form == "yes-no")
        types = {"token_type_ids": (segments > 0).long()} if self._typed else {}
        read = body_of(self.backbone)(
            input_ids=tokens, attention_mask=seen, position_ids=places + self._first_place, **types
        )
        logits: Tensor = self._head(read.last_hidden_state.flatten(0, 1)[ends])
        return logits[:, 0].float()


def load_cross_encoder(folder: Path | str, config: RankerConfig) -> CrossEncoder:
    """A base model from a local folder or a Hugging Face id, made a ranker; its head may be new.

    Only safetensors weights are read: nothing is unpickled and no remote code runs.

    Raises:
        ValueError: the form is `classification` and the base a decoder; or it is `yes-no`, and
            `max_tokens` leaves too little room beside the question, or the tokenizer does not tell Yes
            from No.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    local = Path(folder).is_dir()  # then the hub is not asked for anything
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local)
    backbone: PreTrainedModel = _BASES[config.form].from_pretrained(
        folder,
        local_files_only=local,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
    )
    backbone.config.use_cache = False
    return CrossEncoder(_tunable(backbone, config), tokenizer, config)


def _tunable(backbone: PreTrainedModel, config: RankerConfig) -> nn.Module:
    if config.tuning == "full":
        return backbone
    forms = {"classification": TaskType.FEATURE_EXTRACTION, "yes-no": TaskType.CAUSAL_LM}
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
        task_type=forms[config.form],
    )
    tuned: nn.Module = get_peft_model(backbone, lora)
    return tuned


def _answers(words: Tokenizer, question: int, config: RankerConfig) -> tuple[int, int]:
    """The first tokens at which " Yes" and " No" differ; the question is `question` tokens long."""
    if question > config.max_tokens // 2:
        raise ValueError(f"max_tokens must be at least {2 * question}: the question is long")
    yes, no = (words.encode(text, add_special_tokens=False).ids for text in (" Yes", " No"))
    for first, second in zip(yes, no, strict=False):
        if first != second:
            return first, second
    raise ValueError("the tokenizer does not tell Yes from No")
