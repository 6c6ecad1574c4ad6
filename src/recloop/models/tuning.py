"""The ways of tuning a language model: which of its parameters, or which beside them, are trained."""

import torch
from peft import (
    AdaLoraConfig,
    LoraConfig,
    PeftModel,
    PrefixTuningConfig,
    TaskType,
    get_peft_model,
)
from torch import Tensor, nn
from transformers import PreTrainedModel

from recloop.models.adapter import add_adapters
from recloop.models.bases import TextConfig

_EVERYWHERE = "all-linear"
_PREFIX_SPREAD = 0.02


def add_tuning(model: PreTrainedModel, config: TextConfig) -> nn.Module:
    """The model with exactly the parameters trainable that its way of tuning trains.

    LoRA: Hu et al. 2022. AdaLoRA: Zhang et al. 2023. Prefix: Li and Liang 2021, without the
    reparametrisation. Adapter: Houlsby et al. 2019.
    """
    rank, alpha = config.lora_rank, config.lora_alpha
    match config.tuning:
        case "frozen":
            return model.requires_grad_(requires_grad=False)
        case "full":
            return model.requires_grad_(requires_grad=True)
        case "lora":
            lora = LoraConfig(r=rank, lora_alpha=alpha, target_modules=_EVERYWHERE)
            return _peft(model, lora)
        case "adalora":
            return _peft(model, _adalora(rank, alpha))
        case "adapter":
            return add_adapters(model, config.adapter_size)
        case "prefix":
            return _prefix(model, config.prefix_tokens)


def merged(model: nn.Module) -> nn.Module:
    """The model as it serves: low-rank changes added to the weights. Changes the model in place."""
    if isinstance(model, PeftModel) and not model.active_peft_config.is_prompt_learning:
        plain: nn.Module = model.merge_and_unload()
        return plain
    return model


def tuned_weights(model: nn.Module) -> dict[str, Tensor]:
    """What training changes, by name: not copies. AdaLoRA's rank pattern is in it, as zeros."""
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


class RankBudget:
    """AdaLoRA's way from its first ranks to its last over `steps` steps; other models: nothing.

    The first fifth of the steps warms up, the last quarter trains the ranks that are left.
    """

    def __init__(self, model: nn.Module, steps: int) -> None:
        self._model: PeftModel | None = None
        self._step = 0
        if isinstance(model, PeftModel) and isinstance(model.active_peft_config, AdaLoraConfig):
            self._model, plan = model, model.active_peft_config
            # Ranks are cut by what earlier steps showed: there must be one.
            plan.total_step = max(steps, 2)
            plan.tinit, plan.tfinal = steps // 5, steps // 4

    def penalty(self) -> Tensor | None:
        """How far the singular vectors are from orthogonal, weighted, to be minimised as well."""
        if self._model is None:
            return None
        distances = []
        for name, p in self._model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                gram = p @ p.T if "lora_A" in name else p.T @ p
                distances.append(torch.norm(gram - torch.eye(len(gram), device=p.device)))
        weight: float = self._model.active_peft_config.orth_reg_weight
        return weight * torch.stack(distances).mean()

    def spend(self) -> None:
        """After an optimiser's step, while its gradients are there."""
        self._step += 1
        if self._model is not None:
            self._model.base_model.update_and_allocate(self._step)


def _adalora(rank: int, alpha: int) -> AdaLoraConfig:
    first = rank + max(1, rank // 2)
    return AdaLoraConfig(
        init_r=first, target_r=rank, lora_alpha=alpha, target_modules=_EVERYWHERE, total_step=2
    )


def _prefix(model: PreTrainedModel, tokens: int) -> nn.Module:
    task = TaskType.FEATURE_EXTRACTION
    tuned = _peft(model, PrefixTuningConfig(task_type=task, num_virtual_tokens=tokens))
    for p in tuned.parameters():
        if p.requires_grad:  # small: unit spread would drown what the model knows
            nn.init.normal_(p, std=_PREFIX_SPREAD)
    return tuned


def _peft(model: PreTrainedModel, config: LoraConfig | PrefixTuningConfig) -> nn.Module:
    tuned: nn.Module = get_peft_model(model, config)
    return tuned
