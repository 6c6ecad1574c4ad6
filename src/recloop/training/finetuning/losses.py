"""Losses of the sequence model. Tensors only."""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx
from torch.nn.functional import softplus

_CHUNK = 256


class _ChunkedSoftmax(Function):
    """Cross-entropy over the whole catalogue, a chunk of positions at a time.

    The gradient is computed in the forward pass, so that the `(positions, items)` matrix of logits
    never exists as a whole and is read once.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        users: Tensor,
        items: Tensor,
        targets: Tensor,
        shares: Tensor,
        precision: torch.dtype,
        smoothing: float,
    ) -> Tensor:
        grad_users = torch.empty_like(users)
        grad_items = torch.zeros_like(items)
        loss = users.new_zeros(())
        table = items.to(precision)
        for users_part, targets_part, share, grad_part in zip(
            *(torch.split(part, _CHUNK) for part in (users, targets, shares, grad_users)),
            strict=True,
        ):
            states = users_part.to(precision)
            logits = (states @ table.T).float()
            rows = torch.arange(len(targets_part), device=logits.device)
            logits -= logits.amax(1, keepdim=True)
            wanted = (1 - smoothing) * logits[rows, targets_part]
            if smoothing:
                wanted += smoothing * logits.mean(1)
            probabilities = logits.exp_()
            total = probabilities.sum(1)
            loss += share @ (total.log() - wanted)
            probabilities /= total.unsqueeze(1)
            probabilities[rows, targets_part] -= 1 - smoothing
            if smoothing:
                probabilities -= smoothing / len(items)
            probabilities *= share.unsqueeze(1)
            gradient = probabilities.to(precision)
            grad_part.copy_(gradient @ table)
            grad_items += gradient.T @ states
        ctx.save_for_backward(grad_users, grad_items)
        return loss

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        grad_users, grad_items = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad_users * grads[0], grad_items * grads[0], None, None, None, None


def full_softmax(
    users: Tensor,
    items: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    *,
    bf16: bool = False,
    smoothing: float = 0.0,
) -> Tensor:
    """Return the mean cross-entropy of `targets` `(n,)` under `users` `(n, d)` × `items` `(m, d)`.

    Args:
        users: User vectors.
        items: Item vectors.
        targets: Row of the chosen item.
        weights: Weight of each target in the mean, `(n,)`.
        bf16: Whether matrix products run in bfloat16; sums and exponentials never do.
        smoothing: Share of a target's probability that is spread over all items.
    """
    precision = torch.bfloat16 if bf16 else torch.float32
    with torch.autocast(users.device.type, enabled=False):
        shares = _shares(torch.ones(len(targets), device=users.device), weights)
        loss: Tensor = _ChunkedSoftmax.apply(  # type: ignore[no-untyped-call]
            users.float(), items.float(), targets, shares, precision, smoothing
        )
    return loss


def _shares(even: Tensor, weights: Tensor | None) -> Tensor:
    """Return weights `(n,)` that sum to one, equal ones by default; zeros stay zeros."""
    weights = even if weights is None else weights.float()
    return weights / weights.sum().clamp(min=1e-9)


def rating_mse(users: Tensor, rated: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Return the mean squared error of `users · rated`, both `(n, d)`, as ratings `(n,)`.

    It is 0 without ratings.
    """
    with torch.autocast(users.device.type, enabled=False):
        errors = (users.float() * rated.float()).sum(1) - wanted
        return (errors.square() * weights).sum() / weights.sum().clamp(min=1e-9)


def sampled_softmax(
    users: Tensor,
    chosen: Tensor,
    drawn: Tensor,
    expected: Tensor,
    hit: Tensor,
    weights: Tensor | None = None,
) -> Tensor:
    """Return the mean cross-entropy of the chosen items, estimated from sampled negatives.

    Each drawn item is weighted by `1 / expected` (importance sampling, the logQ correction).

    Args:
        users: `(n, d)`.
        chosen: `(n, d)`, the item that each user vector should find.
        drawn: `(s, d)`, shared by all; an item may be there twice.
        expected: `(s,)`, how often each of them is drawn on average.
        hit: `(n, s)`, whether a drawn item is the chosen one, which counts once.
        weights: `(n,)`, how much each counts in the mean.

    Reference:
        Bengio & Senecal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural
        Probabilistic Language Model".
    """
    with torch.autocast(users.device.type, enabled=False):
        users, chosen, drawn = users.float(), chosen.float(), drawn.float()
        right = (users * chosen).sum(1)
        others = (users @ drawn.T - expected.log()).masked_fill(hit, -torch.inf)
        losses = torch.cat([right[:, None], others], 1).logsumexp(1) - right
        return _shares(torch.ones_like(right), weights) @ losses


def sampled_bce(
    users: Tensor, chosen: Tensor, drawn: Tensor, hit: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Return the binary cross-entropy; the drawn items together weigh as much as the chosen one.

    Args:
        users: `(n, d)`.
        chosen: `(n, d)`, the item that each user vector should find.
        drawn: `(s, d)`, shared by all.
        hit: `(n, s)`, whether a drawn item is the chosen one, which counts once.
        weights: `(n,)`, how much each counts in the mean.
    """
    with torch.autocast(users.device.type, enabled=False):
        users, chosen, drawn = users.float(), chosen.float(), drawn.float()
        right = softplus(-(users * chosen).sum(1))
        wrong = softplus(users @ drawn.T).masked_fill(hit, 0.0)
        return _shares(torch.ones_like(right), weights) @ (right + wrong.mean(1))
