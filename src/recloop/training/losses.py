"""Losses of the sequence model. Tensors only."""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx

_CHUNK = 1024


class _ChunkedSoftmax(Function):
    """Cross-entropy over the whole catalogue, a chunk of positions at a time.

    The gradient is computed in the forward pass, so that the `(positions, items)` matrix of logits
    never exists as a whole and is read once.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, users: Tensor, items: Tensor, targets: Tensor) -> Tensor:
        grad_users = torch.empty_like(users)
        grad_items = torch.zeros_like(items)
        loss = users.new_zeros(())
        for users_part, targets_part, grad_part in zip(
            *(torch.split(part, _CHUNK) for part in (users, targets, grad_users)), strict=True
        ):
            logits = users_part @ items.T
            rows = torch.arange(len(targets_part), device=logits.device)
            logits -= logits.amax(1, keepdim=True)
            target_logits = logits[rows, targets_part]
            probabilities = logits.exp_()
            total = probabilities.sum(1)
            loss += (total.log() - target_logits).sum()
            probabilities /= total.unsqueeze(1)
            probabilities[rows, targets_part] -= 1
            torch.mm(probabilities, items, out=grad_part)
            grad_items.addmm_(probabilities.T, users_part)
        ctx.save_for_backward(grad_users / len(targets), grad_items / len(targets))
        return loss / len(targets)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_users, grad_items = ctx.saved_tensors  # type: ignore[attr-defined]
        return grad_users * grads[0], grad_items * grads[0], None


def full_softmax(users: Tensor, items: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of `targets` `(n,)` under `users` `(n, d)` times all `items` `(m, d)`."""
    with torch.autocast(users.device.type, enabled=False):
        loss: Tensor = _ChunkedSoftmax.apply(  # type: ignore[no-untyped-call]
            users.float(), items.float(), targets
        )
    return loss
