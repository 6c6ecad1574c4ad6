"""Methods of parameter-efficient fine-tuning, applied to a language model.

References:
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models".
    Zhang et al. 2023, "Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning" (AdaLoRA).
    Li & Liang 2021, "Prefix-Tuning: Optimizing Continuous Prompts for Generation".
    Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP" (adapters).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from recloop.training.base_models import TextConfig
from recloop.training.modules.adapter import add_adapters

if TYPE_CHECKING:
    from peft import AdaLoraConfig, LoraConfig, PrefixTuningConfig
    from transformers import PreTrainedModel

_ALL_LINEAR = "all-linear"
_PREFIX_DEVIATION = 0.02


def apply_tuning(model: "PreTrainedModel", config: TextConfig) -> nn.Module:
    """Return the model with exactly those parameters trainable that `config.tuning` trains.

    Prefix tuning is used without the reparametrisation.
    """
    rank, alpha = config.lora_rank, config.lora_alpha
    match config.tuning:
        case "frozen":
            return model.requires_grad_(requires_grad=False)
        case "full":
            return model.requires_grad_(requires_grad=True)
        case "lora":
            from peft import LoraConfig

            lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules=_ALL_LINEAR)
            return _peft(model, lora)
        case "adalora":
            return _peft(model, _adalora(rank, alpha))
        case "adapter":
            return add_adapters(model, config.adapter_size)
        case "prefix":
            return _prefix(model, config.prefix_tokens)


def merge_low_rank(model: nn.Module) -> nn.Module:
    """Add the low-rank updates to the weights, in place, and return the model without PEFT.

    Models with other methods are returned as they are.
    """
    from peft import PeftModel

    if isinstance(model, PeftModel) and not model.active_peft_config.is_prompt_learning:
        plain: nn.Module = model.merge_and_unload()
        return plain
    return model


def trainable_weights(model: nn.Module) -> dict[str, Tensor]:
    """Return the trainable parameters by name, each in its shape, not copied.

    AdaLoRA's pruned ranks are zeros.
    """
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


class AdaLoraSchedule:
    """Schedule of AdaLoRA's rank pruning; for other models, it does nothing.

    The first fifth of the steps keeps all ranks, the last quarter trains the remaining ones.

    Args:
        model: The model.
        steps: Number of training steps.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        from peft import AdaLoraConfig, PeftModel

        self._model: PeftModel | None = None
        self._step = 0
        if isinstance(model, PeftModel) and isinstance(model.active_peft_config, AdaLoraConfig):
            self._model, plan = model, model.active_peft_config
            # Ranks are pruned by the gradients of earlier steps, so there must be at least one.
            plan.total_step = max(steps, 2)
            plan.tinit, plan.tfinal = steps // 5, steps // 4

    def orthogonality_penalty(self) -> Tensor | None:
        """Return the loss that keeps singular vectors orthogonal, a scalar.

        None without AdaLoRA.
        """
        if self._model is None:
            return None
        distances = []
        for name, p in self._model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                gram = p @ p.T if "lora_A" in name else p.T @ p
                distances.append(torch.norm(gram - torch.eye(len(gram), device=p.device)))
        weight: float = self._model.active_peft_config.orth_reg_weight
        return weight * torch.stack(distances).mean()

    def step(self) -> None:
        """Update the ranks; to be called after each optimiser step, before gradients are reset."""
        self._step += 1
        if self._model is not None:
            self._model.base_model.update_and_allocate(self._step)


def _adalora(rank: int, alpha: int) -> "AdaLoraConfig":
    from peft import AdaLoraConfig

    first = rank + max(1, rank // 2)
    return AdaLoraConfig(
        init_r=first, target_r=rank, lora_alpha=alpha, target_modules=_ALL_LINEAR, total_step=2
    )


def _prefix(model: "PreTrainedModel", tokens: int) -> nn.Module:
    from peft import PrefixTuningConfig, TaskType

    task = TaskType.FEATURE_EXTRACTION
    tuned = _peft(model, PrefixTuningConfig(task_type=task, num_virtual_tokens=tokens))
    for p in tuned.parameters():
        if p.requires_grad:
            # The default of 1 is far larger than the model's own keys and values.
            nn.init.normal_(p, std=_PREFIX_DEVIATION)
    return tuned


def _peft(model: "PreTrainedModel", config: "LoraConfig | PrefixTuningConfig") -> nn.Module:
    from peft import get_peft_model

    tuned: nn.Module = get_peft_model(model, config)
    return tuned
