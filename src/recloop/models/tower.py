"""Item vectors and the user tower: what an item is, and what a person is doing right now.

item vector = ID embedding (randomly dropped in training) + adapter(text vector of the LLM);
user vector = a small causal transformer over the item vectors of the recent history
(after Kang & McAuley 2018, SASRec; trained on all positions at once with a full softmax).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recloop.config import Settings
from recloop.data.trail import CLASSES, EVENT, WIDTH

# Signals that are hidden together: the event, and both gaps.
_GROUPS = [int(place != EVENT) for place in range(WIDTH)]


class TowerConfig(Settings):
    """Sizes and regularisation of the sequence model, and what it is told besides the items.

    `events`: which event each step was; `gaps`: the time since the step before and until the next.
    `signal_dropout`: of the steps, so many are told nothing in training, as some are in service.
    """

    dim: int = 64
    layers: int = 2
    heads: int = 2
    window: int = 50
    dropout: float = 0.2
    id_dropout: float = 0.3
    text_dropout: float = 0.0
    use_text: bool = True
    events: bool = True
    gaps: bool = True
    signal_dropout: float = 0.1


class ItemVectors(nn.Module):
    """`(items, text width)` → `(items, dim)`: ID embedding plus adapted text."""

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

    def forward(self, text: Tensor, known: Tensor, rows: Tensor | None = None) -> Tensor:
        """`known` (items,) is false for items that training has not seen: text alone.

        `rows`: only these items, `(rows, dim)`.
        """
        ids: Tensor = self.ids
        if rows is not None:
            ids, text, known = ids[rows], text[rows], known[rows]
        if not self.use_text:
            return ids * known.unsqueeze(1)
        keep = known.to(ids.dtype)
        if self.training:
            keep = keep * (torch.rand_like(keep) >= self.id_dropout)
        read: Tensor = self.adapter(text)
        if self.training and self.text_dropout:
            read = read * (torch.rand(len(read), 1, device=read.device) >= self.text_dropout)
        return ids * keep.unsqueeze(1) + read


class PooledDropout(nn.Module):
    """Dropout whose mask is a random stretch of a pool drawn in advance.

    Drawing Bernoulli masks is about a third of a training step of this size on a CPU.
    """

    POOL = 1 << 22

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self._pool = torch.empty(0)

    def refresh(self, device: torch.device) -> None:
        """Draw a new pool, once an epoch."""
        keep = torch.rand(self.POOL, device=device) >= self.rate
        self._pool = keep.to(torch.float32) / (1 - self.rate)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        if self._pool.numel() < 2 * x.numel():
            return F.dropout(x, self.rate)
        start = int(torch.randint(self._pool.numel() - x.numel(), ()))
        return x * self._pool[start : start + x.numel()].view_as(x)


class Block(nn.Module):
    """One pre-norm transformer block with causal attention."""

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
        """`(batch, length, dim)` → the same, or `(batch, 1, dim)`: the last position alone."""
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
    """`(batch, length, WIDTH)` classes → `(batch, length, dim)`, zero for what is not known.

    TiSASRec (Li et al. 2020) has the gaps between past steps; here the gap until the next step is told
    too, which at the last one is how long ago that was when the request comes.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.tables = nn.ParameterList(torch.randn(n, config.dim) * 0.02 for n in CLASSES)
        self._used = [config.events if place == EVENT else config.gaps for place in range(WIDTH)]
        self._dropout = config.signal_dropout

    def forward(self, signals: Tensor) -> Tensor:
        known = (signals > 0) & (signals < torch.tensor(CLASSES, device=signals.device))
        if self.training and self._dropout:
            # Apart for the event and the gaps: in service one is often known without the other.
            shown = torch.rand(*signals.shape[:2], 2, device=signals.device) >= self._dropout
            known = known & shown[..., _GROUPS]
        signals = signals * known
        told = [
            F.embedding(signals[..., place], table) * known[..., place, None]
            for place, table in enumerate(self.tables)
            if self._used[place]
        ]
        return torch.stack(told).sum(0) if told else known[..., :1] * 0.0


class UserTower(nn.Module):
    """`(batch, length, dim)` item vectors, oldest first → `(batch, length, dim)` user vectors.

    Beside them the signals of each step, `(batch, length, WIDTH)` whole numbers. The vector at a
    position has seen that position and those before it, so padding at the end needs no mask.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(config.window, config.dim) * 0.02)
        self.told = StepSignals(config)
        self.drop = PooledDropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, history: Tensor, signals: Tensor, *, last_only: bool = False) -> Tensor:
        """With `last_only`, `(batch, 1, dim)`: what serves has no use for the positions before."""
        x = self.drop(history + self.positions[: history.shape[1]] + self.told(signals))
        for place, block in enumerate(self.blocks, start=1):
            x = block(x, last_only=last_only and place == len(self.blocks))
        users: Tensor = self.norm(x)
        return users
