"""Item vectors and user tower of the sequence model.

An item vector is the sum of an ID embedding, randomly dropped in training, and the projected text
vector of the language model. A user vector is the output of a small causal transformer over the
item vectors of the recent history, trained at all positions at once with a full softmax.

References:
    Kang & McAuley 2018, "Self-Attentive Sequential Recommendation" (SASRec).
    Li et al. 2020, "Time Interval Aware Self-Attention for Sequential Recommendation" (TiSASRec).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recloop.config import ConfigModel
from recloop.data.user_sequences import EVENT_SIGNAL, SIGNAL_CLASSES, SIGNAL_WIDTH

# Group of each signal; the signals of a group are hidden together: 0 is the event, 1 both gaps.
_GROUPS = [int(place != EVENT_SIGNAL) for place in range(SIGNAL_WIDTH)]


class TowerConfig(ConfigModel):
    """Sizes, inputs and regularisation of the sequence model."""

    dim: int = 64
    """Width of the vectors."""
    layers: int = 2
    """Transformer layers."""
    heads: int = 2
    """Attention heads."""
    window: int = 50
    """Events of the history that are read."""
    dropout: float = 0.2
    """Dropout."""
    id_dropout: float = 0.3
    """Probability that an item is read without its ID embedding, so that items without one can be
    scored by their text."""
    text_dropout: float = 0.0
    """Probability that an item is read without its text."""
    use_text: bool = True
    """Whether item vectors contain the text embedding."""
    order: bool = True
    """Whether the model reads the order of the history. Without it, a history is a set: each epoch
    trains on another order, and the place of an item says nothing."""
    events: bool = True
    """Whether the model reads which event each step was."""
    gaps: bool = True
    """Whether the model reads the time since the step before and until the next."""
    signal_dropout: float = 0.1
    """Share of steps whose event and gaps are hidden in training."""


class ItemVectors(nn.Module):
    """Item vectors: ID embedding plus projected text vector.

    Args:
        items: Number of items.
        text_width: Width of the text vectors.
        config: Settings of the sequence model.
    """

    def __init__(self, items: int, text_width: int, config: TowerConfig) -> None:
        super().__init__()
        self.ids = nn.Parameter(torch.randn(items, config.dim) * 0.02)
        self.adapter = nn.Sequential(
            nn.Linear(text_width, config.dim), nn.GELU(), nn.Linear(config.dim, config.dim)
        )
        self.text_width = text_width
        self.id_dropout = config.id_dropout
        self.text_dropout = config.text_dropout
        self.use_text = config.use_text

    def forward(self, text: Tensor, warm: Tensor, rows: Tensor | None = None) -> Tensor:
        """Return item vectors `(items, dim)`, or `(rows, dim)`.

        Args:
            text: Text vectors, `(items, text_width)`.
            warm: False for cold items, whose vector is made from the text only, `(items,)`.
            rows: Rows of the items to return; all by default.
        """
        ids: Tensor = self.ids
        if rows is not None:
            ids, text, warm = ids[rows], text[rows], warm[rows]
        if not self.use_text:
            return ids * warm.unsqueeze(1)
        keep = warm.to(ids.dtype)
        if self.training:
            keep = keep * (torch.rand_like(keep) >= self.id_dropout)
        projected: Tensor = self.adapter(text)
        if self.training and self.text_dropout:
            shown = torch.rand(len(projected), 1, device=projected.device) >= self.text_dropout
            projected = projected * shown
        return ids * keep.unsqueeze(1) + projected


class PooledDropout(nn.Module):
    """Dropout whose mask is a random slice of a pool that was drawn in advance.

    Drawing Bernoulli masks takes about a third of a training step of this size on a CPU.

    Args:
        rate: Probability that an entry is dropped.
    """

    POOL = 1 << 22

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._pool = torch.empty(0)

    def refresh(self, device: torch.device) -> None:
        """Draw a new pool; to be called once an epoch."""
        keep = torch.rand(self.POOL, device=device) >= self.rate
        self._pool = keep.to(torch.float32) / (1 - self.rate)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input with some values dropped in training; same shape."""
        if not self.training or self.rate == 0:
            return x
        if self._pool.numel() < 2 * x.numel():
            return F.dropout(x, self.rate)
        start = int(torch.randint(self._pool.numel() - x.numel(), ()))
        return x * self._pool[start : start + x.numel()].view_as(x)


class Block(nn.Module):
    """Pre-norm transformer block with causal attention."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(config.dim)
        self.qkv = nn.Linear(config.dim, 3 * config.dim)
        self.out = nn.Linear(config.dim, config.dim)
        self.mlp = nn.Sequential(
            nn.LayerNorm(config.dim),
            nn.Linear(config.dim, 4 * config.dim),
            nn.GELU(),
            PooledDropout(config.dropout),
            nn.Linear(4 * config.dim, config.dim),
        )
        self.drop = PooledDropout(config.dropout)

    def forward(self, x: Tensor, *, last_only: bool = False) -> Tensor:
        """Return states `(batch, length, dim)`; with `last_only`, `(batch, 1, dim)`.

        Args:
            x: States, `(batch, length, dim)`.
            last_only: Compute the last position only.
        """
        batch, length, dim = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if last_only:
            x, query = x[:, -1:], query[:, :, -1:]
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=not last_only)
        x = x + self.drop(self.out(attended.transpose(1, 2).flatten(2)))
        mixed: Tensor = x + self.drop(self.mlp(x))
        return mixed


class StepSignals(nn.Module):
    """Embeds the signals of the steps; unknown signals add nothing.

    Unlike TiSASRec, the gap until the next step is embedded as well. At the last step, it is the
    time that has passed when the request arrives.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.tables = nn.ParameterList(torch.randn(n, config.dim) * 0.02 for n in SIGNAL_CLASSES)
        self._used = [
            config.events if signal == EVENT_SIGNAL else config.gaps
            for signal in range(SIGNAL_WIDTH)
        ]
        self._dropout = config.signal_dropout

    def forward(self, signals: Tensor) -> Tensor:
        """Return embeddings `(batch, length, dim)` of classes `(batch, length, SIGNAL_WIDTH)`."""
        given = (signals > 0) & (signals < torch.tensor(SIGNAL_CLASSES, device=signals.device))
        if self.training and self._dropout:
            # Event and gaps are hidden independently: in service, often only one of them is given.
            shown = torch.rand(*signals.shape[:2], 2, device=signals.device) >= self._dropout
            given = given & shown[..., _GROUPS]
        signals = signals * given
        embedded = [
            F.embedding(signals[..., signal], table) * given[..., signal, None]
            for signal, table in enumerate(self.tables)
            if self._used[signal]
        ]
        return torch.stack(embedded).sum(0) if embedded else given[..., :1] * 0.0


class UserTower(nn.Module):
    """Causal transformer from the item vectors of a history to user vectors.

    The vector at a position depends on that position and those before it only, so padding at the
    end needs no mask.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.window = config.window
        positions = torch.randn(config.window, config.dim) * 0.02
        self.positions = nn.Parameter(positions) if config.order else None
        self.signal_embedding = StepSignals(config)
        self.drop = PooledDropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, history: Tensor, signals: Tensor, *, last_only: bool = False) -> Tensor:
        """Return user vectors `(batch, length, dim)`; with `last_only`, `(batch, 1, dim)`.

        Args:
            history: Item vectors of the steps, oldest first, `(batch, length, dim)`.
            signals: Signals of the steps, `(batch, length, SIGNAL_WIDTH)`.
            last_only: Return the last position only, which is all that serving needs.
        """
        steps = history + self.signal_embedding(signals)
        if self.positions is not None:
            steps = steps + self.positions[: history.shape[1]]
        x = self.drop(steps)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x, last_only=last_only and number == len(self.blocks))
        users: Tensor = self.norm(x)
        return users
