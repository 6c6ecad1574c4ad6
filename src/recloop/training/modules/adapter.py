"""Bottleneck adapters: small trainable modules inside each layer of a frozen language model.

One follows the attention and one the feed-forward network, before the residual is added. At first
they are close to the identity.

Reference:
    Houlsby et al. 2019, "Parameter-Efficient Transfer Learning for NLP".
"""

from torch import Tensor, nn
from torch.nn import functional as F

# Names of the last projection of attention and feed-forward network, by family of transformers.
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


class BottleneckAdapter(nn.Module):
    """Projection followed by an adapter, `x + up(gelu(down(x)))`.

    Args:
        projection: Projection of the language model.
        size: Width of the bottleneck.
    """

    def __init__(self, projection: nn.Module, size: int) -> None:
        super().__init__()
        self.projection = projection
        weight, bias = projection.weight, projection.bias
        # GPT-2 stores its weights transposed; a Linear may have no bias.
        width = len(bias) if isinstance(bias, Tensor) else len(weight)  # type: ignore[arg-type]
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        for layer in (self.down, self.up):
            nn.init.trunc_normal_(layer.weight, std=_SPREAD, a=-2 * _SPREAD, b=2 * _SPREAD)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the projection with the adapter's output added, `(..., width)`.

        Args:
            inputs: Inputs of the projection, `(..., input width)`.
        """
        projected: Tensor = self.projection(inputs)
        adapted: Tensor = projected + self.up(F.gelu(self.down(projected)))
        return adapted


def add_adapters(model: nn.Module, size: int) -> nn.Module:
    """Freeze a model and add trainable adapters to it, in place.

    Args:
        model: Language model.
        size: Width of the bottleneck.

    Returns:
        The model.

    Raises:
        ValueError: The model has no projection with a supported name.
    """
    model.requires_grad_(requires_grad=False)
    names = [name for name, _ in model.named_modules() if name.endswith(_PROJECTIONS)]
    if not names:
        raise ValueError(
            f"adapters do not support {type(model).__name__}, which has no projection of a known"
            " name; set text.tuning to lora"
        )
    for name in names:
        parent, _, own = name.rpartition(".")
        module = model.get_submodule(name)
        setattr(model.get_submodule(parent), own, BottleneckAdapter(module, size))
    return model
