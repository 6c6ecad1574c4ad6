"""Tests of the losses of the sequence model."""

import pytest
import torch

from recloop.training.finetuning.losses import full_softmax, sampled_softmax


def test_full_softmax_is_cross_entropy_in_value_and_gradient() -> None:
    torch.manual_seed(0)
    users = torch.randn(3000, 4, requires_grad=True)  # more than one chunk
    items = torch.randn(7, 4, requires_grad=True)
    targets = torch.randint(7, (3000,))
    ours = full_softmax(users, items, targets)
    ours.backward()
    assert users.grad is not None
    assert items.grad is not None
    gradients = users.grad.clone(), items.grad.clone()
    users.grad = items.grad = None
    reference = torch.nn.functional.cross_entropy(users @ items.T, targets)
    reference.backward()
    assert ours.item() == pytest.approx(reference.item(), rel=1e-5)
    torch.testing.assert_close(gradients[0], users.grad)
    torch.testing.assert_close(gradients[1], items.grad)


def test_smoothed_softmax_is_that_of_torch() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(300, 4, requires_grad=True), torch.randn(7, 4, requires_grad=True)
    targets = torch.randint(7, (300,))
    ours = full_softmax(users, items, targets, smoothing=0.2)
    theirs = torch.nn.functional.cross_entropy(users @ items.T, targets, label_smoothing=0.2)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    for mine, right in zip(
        *(torch.autograd.grad(loss, [users, items]) for loss in (ours, theirs)), strict=True
    ):
        torch.testing.assert_close(mine, right)


def test_bf16_products_are_close_to_those_of_fp32() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(300, 8, requires_grad=True), torch.randn(9, 8, requires_grad=True)
    targets = torch.randint(9, (300,))
    gradients = []
    for bf16 in (False, True):
        loss = full_softmax(users, items, targets, bf16=bf16)
        gradients.append(torch.autograd.grad(loss, [users, items]))
    for exact, rounded in zip(*gradients, strict=True):
        assert torch.nn.functional.cosine_similarity(exact, rounded, dim=1).min() > 0.999


def test_sampled_softmax_is_right_on_average() -> None:
    torch.manual_seed(0)
    users, items = torch.randn(5, 4), torch.randn(50, 4)
    targets, share = torch.randint(50, (5,)), torch.rand(50) + 0.5
    share /= share.sum()
    losses = []
    for _ in range(30):
        drawn = torch.multinomial(share, 4000, replacement=True)
        hit = targets[:, None] == drawn
        expected = 4000 * share[drawn]
        losses.append(sampled_softmax(users, items[targets], items[drawn], expected, hit))
    exact = torch.nn.functional.cross_entropy(users @ items.T, targets)
    assert torch.stack(losses).mean().item() == pytest.approx(exact.item(), abs=0.02)
