"""Bottleneck adapters: small modules inside every layer of a frozen language model.

After Houlsby et al. 2019, "Parameter-efficient transfer learning for NLP": one after attention and
one after the feed-forward network, before the residual is added, near to the identity at first.
"""

from torch import Tensor, nn
from torch.nn import functional as F

# How families of transformers name the last projection of attention and of the feed-forward network.
_PROJECTIONS = (
    ".output.dense",  # BERT, RoBERTa, ELECTRA: both
    ".attn.o",  # MPNet's attention
    *(".out_lin", ".lin2"),  # DistilBERT
    ".Wo",  # ModernBERT: both
    *(".o_proj", ".down_proj"),  # Llama, Mistral, Qwen, Gemma
    ".c_proj",  # GPT-2: both
    *(".out_proj", ".fc2"),  # OPT
    *(".attention.dense", ".dense_4h_to_h"),  # GPT-NeoX
)
_SPREAD = 1e-2


class Bottleneck(nn.Module):
    """A projection and, on its output, `x + up(gelu(down(x)))`."""

    def __init__(self, projection: nn.Module, size: int) -> None:
        super().__init__()
        self.projection = projection
        weight, bias = projection.weight, projection.bias
        # GPT-2 keeps its weights the other way round; a Linear need not have a bias.
        width = len(bias) if isinstance(bias, Tensor) else len(weight)  # type: ignore[arg-type]
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        for layer in (self.down, self.up):
            nn.init.trunc_normal_(layer.weight, std=_SPREAD, a=-2 * _SPREAD, b=2 * _SPREAD)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        projected: Tensor = self.projection(inputs)
        adapted: Tensor = projected + self.up(F.gelu(self.down(projected)))
        return adapted


def add_adapters(model: nn.Module, size: int) -> nn.Module:
    """The model, frozen but for the adapters that it now has.

    Raises:
        ValueError: no projection of a known name was found in it.
    """
    model.requires_grad_(requires_grad=False)
    names = [name for name, _ in model.named_modules() if name.endswith(_PROJECTIONS)]
    if not names:
        raise ValueError(f"{type(model).__name__} has no place known for adapters; tune it by lora")
    for name in names:
        parent, _, own = name.rpartition(".")
        module = model.get_submodule(name)
        setattr(model.get_submodule(parent), own, Bottleneck(module, size))
    return model
