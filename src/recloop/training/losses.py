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
        precision: torch.dtype,
        smoothing: float,
    ) -> Tensor:
        grad_users = torch.empty_like(users)
        grad_items = torch.zeros_like(items)
        loss = users.new_zeros(())
        table = items.to(precision)
        for users_part, targets_part, grad_part in zip(
            *(torch.split(part, _CHUNK) for part in (users, targets, grad_users)), strict=True
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
            loss += (total.log() - wanted).sum()
            probabilities /= total.unsqueeze(1)
            probabilities[rows, targets_part] -= 1 - smoothing
            if smoothing:
                probabilities -= smoothing / len(items)
            gradient = probabilities.to(precision)
            grad_part.copy_(gradient @ table)
            grad_items += gradient.T @ states
        ctx.save_for_backward(grad_users / len(targets), grad_items / len(targets))
        return loss / len(targets)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_users, grad_items = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad_users * grads[0], grad_items * grads[0], None, None, None


def full_softmax(
    users: Tensor, items: Tensor, targets: Tensor, *, bf16: bool = False, smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy of `targets` `(n,)` under `users` `(n, d)` times all `items` `(m, d)`.

    `bf16`: the matrix products are; sums and exponentials are not. `smoothing`: this share of a
    target's probability is spread over all items.
    """
    precision = torch.bfloat16 if bf16 else torch.float32
    with torch.autocast(users.device.type, enabled=False):
        loss: Tensor = _ChunkedSoftmax.apply(  # type: ignore[no-untyped-call]
            users.float(), items.float(), targets, precision, smoothing
        )
    return loss


def sampled_softmax(
    users: Tensor, chosen: Tensor, drawn: Tensor, expected: Tensor, hit: Tensor
) -> Tensor:
    """Mean cross-entropy of the chosen items, the sum over the catalogue estimated from a sample.

    Each drawn item counts as often as it stands for others, `1 / expected`: importance sampling
    (Bengio & Senecal 2008), which is the logQ correction with the chosen item known to be there.

    Args:
        users: `(n, d)`.
        chosen: `(n, d)`, the item that each user vector should find.
        drawn: `(s, d)`, shared by all; an item may be there twice.
        expected: `(s,)`, how often each of them is drawn on average.
        hit: `(n, s)`, whether a drawn item is the chosen one, which counts once.
    """
    with torch.autocast(users.device.type, enabled=False):
        users, chosen, drawn = users.float(), chosen.float(), drawn.float()
        right = (users * chosen).sum(1)
        others = (users @ drawn.T - expected.log()).masked_fill(hit, -torch.inf)
        return (torch.cat([right[:, None], others], 1).logsumexp(1) - right).mean()


def sampled_bce(users: Tensor, chosen: Tensor, drawn: Tensor, hit: Tensor) -> Tensor:
    """Binary cross-entropy: chosen or not, the drawn items sharing as much weight as the chosen one.

    Arguments as in `sampled_softmax`.
    """
    with torch.autocast(users.device.type, enabled=False):
        users, chosen, drawn = users.float(), chosen.float(), drawn.float()
        right = softplus(-(users * chosen).sum(1))
        wrong = softplus(users @ drawn.T).masked_fill(hit, 0.0)
        return (right + wrong.mean(1)).mean()
