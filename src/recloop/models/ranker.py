"""The LLM ranker: a cross-encoder that reads behaviour and candidate together.

`classification`: a sequence-classification head with one logit on text A = behaviour and text B =
candidate (after Nogueira & Cho 2019, monoBERT). `yes-no`: a decoder is asked, and its logit is
`logit(Yes) - logit(No)` of the next token (after Nogueira et al. 2020, monoT5).
Knows texts and logits, nothing of requests, losses or the fast path.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, TaskType, get_peft_model
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from recloop.config import Settings
from recloop.models.pairs import QUESTION, prompt_parts

Form = Literal["classification", "yes-no"]
Batch = dict[str, Tensor]
_HEADS = {"classification": AutoModelForSequenceClassification, "yes-no": AutoModelForCausalLM}


# A head for another number of classes gives way to a new one.
_ONE_LOGIT = {"num_labels": 1, "ignore_mismatched_sizes": True}


class RankerConfig(Settings):
    """Base model, what it reads, and how it is tuned.

    `shown`: items of the history that are read. `hard_negatives` and `random_negatives` are per
    positive. Training ends after `epochs`, after `max_seconds`, or when `patience` looks at the
    share `held_out` of the requests (one every `judge_every` steps) found nothing better.
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


class CrossEncoder(nn.Module):
    """A base model and its tokenizer: pairs of texts to logits."""

    def __init__(
        self, backbone: nn.Module, tokenizer: PreTrainedTokenizerBase, config: RankerConfig
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self._tokenizer = tokenizer
        self.config = config
        self._answers = _answers(tokenizer, config) if config.form == "yes-no" else None

    def tuned(self) -> dict[str, Tensor]:
        """The weights that training changes; they are the model's own, not copies."""
        return {name: p for name, p in self.backbone.named_parameters() if p.requires_grad}

    def restore(self, tuned: dict[str, Tensor]) -> None:
        """Put back what `tuned` gave.

        Raises:
            ValueError: these are other weights than those of this model.
        """
        if tuned.keys() != self.tuned().keys():
            raise ValueError(f"these weights do not fit {self.config.base}")
        self.backbone.load_state_dict(tuned, strict=False)

    def tokenizer_json(self) -> str:
        """The tokenizer as it serves, without padding and truncation."""
        words: Tokenizer = Tokenizer.from_str(self._tokenizer.backend_tokenizer.to_str())
        words.no_padding()
        words.no_truncation()
        return words.to_str()

    def tokens(self, behaviours: Sequence[str], candidates: Sequence[str]) -> list[dict[str, Any]]:
        """Token ids of each pair, cut to `max_tokens`: of the longer text first, from its end."""
        if self.config.form == "yes-no":
            return [self._prompt(*pair) for pair in zip(behaviours, candidates, strict=True)]
        read = self._tokenizer(
            list(behaviours), list(candidates), truncation=True, max_length=self.config.max_tokens
        )
        return [
            {name: values[row] for name, values in read.items()} for row in range(len(behaviours))
        ]

    def pad(self, tokens: Sequence[dict[str, Any]], device: torch.device) -> Batch:
        """One batch of what `tokens` gave."""
        padded = self._tokenizer.pad(list(tokens), return_tensors="pt")
        return {name: values.to(device) for name, values in padded.items()}

    def forward(self, batch: Batch) -> Tensor:
        """`(batch,)` logits of engagement, in float32."""
        if self._answers is None:
            logits: Tensor = self.backbone(**batch).logits[:, 0].float()
            return logits
        places = (batch["attention_mask"].cumsum(1) - 1).clamp(min=0)
        answer = self.backbone(**batch, position_ids=places, logits_to_keep=1, use_cache=False)
        yes, no = self._answers
        odds: Tensor = (answer.logits[:, -1, yes] - answer.logits[:, -1, no]).float()
        return odds

    def _prompt(self, behaviour: str, candidate: str) -> dict[str, Any]:
        before, offer, question = (
            self._tokenizer(part, add_special_tokens=False)["input_ids"]
            for part in prompt_parts(behaviour, candidate)
        )
        start = [] if self._tokenizer.bos_token_id is None else [self._tokenizer.bos_token_id]
        room = self.config.max_tokens - len(start) - len(question)
        offer = offer[: room // 2]
        ids = start + before[: room - len(offer)] + offer + question
        return {"input_ids": ids, "attention_mask": [1] * len(ids)}


def load_cross_encoder(folder: Path | str, config: RankerConfig) -> CrossEncoder:
    """A base model from a local folder or a Hugging Face id, made a ranker; its head may be new.

    Only safetensors weights are read: nothing is unpickled and no remote code runs.

    Raises:
        ValueError: the form is `yes-no`, and `max_tokens` leaves too little room beside the question,
            or the tokenizer does not tell Yes from No.
    """
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    local = Path(folder).is_dir()  # then the hub is not asked for anything
    # A decoder answers at the last place, so its padding is in front.
    side = "left" if config.form == "yes-no" else "right"
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=local, padding_side=side)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    backbone: PreTrainedModel = _HEADS[config.form].from_pretrained(
        folder,
        local_files_only=local,
        use_safetensors=True,
        dtype=torch.float32,
        attn_implementation="sdpa",
        **(_ONE_LOGIT if config.form == "classification" else {}),
    )
    backbone.config.pad_token_id = tokenizer.pad_token_id
    return CrossEncoder(_tunable(backbone, config), tokenizer, config)


def _tunable(backbone: PreTrainedModel, config: RankerConfig) -> nn.Module:
    if config.tuning == "full":
        return backbone
    task = TaskType.SEQ_CLS if config.form == "classification" else TaskType.CAUSAL_LM
    lora = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules="all-linear",
        task_type=task,
    )
    tuned: nn.Module = get_peft_model(backbone, lora)
    return tuned


def _answers(tokenizer: PreTrainedTokenizerBase, config: RankerConfig) -> tuple[int, int]:
    """The first tokens at which " Yes" and " No" differ."""
    question, yes, no = (
        tokenizer(text, add_special_tokens=False)["input_ids"] for text in (QUESTION, " Yes", " No")
    )
    if len(question) > config.max_tokens // 2:
        raise ValueError(f"max_tokens must be at least {2 * len(question)}: the question is long")
    for first, second in zip(yes, no, strict=False):
        if first != second:
            return first, second
    raise ValueError("the tokenizer does not tell Yes from No")
