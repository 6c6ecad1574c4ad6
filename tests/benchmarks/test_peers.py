"""Tests that the lists of peers are measured as ours are, and that invalid entries are ignored."""

import polars as pl
import pytest

from benchmarks.peers.evaluate_lists import align_lists, evaluate_lists
from recloop.evaluation.report import EvaluateConfig

ITEMS = pl.DataFrame({"item_id": [1, 2, 3, 4], "title": list("abcd"), "text": [None] * 4})
REQUESTS = pl.DataFrame(
    {
        "request": [0, 1, 2],
        "user_id": [7, 8, 9],
        "history": [[1], [2], [3]],
        "relevant": [[2], [3], [4]],
    }
)


def lists(answers: dict[int, list[int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {"request": list(answers), "ranked": list(answers.values())},
        schema={"request": pl.Int32(), "ranked": pl.List(pl.Int64())},
    )


def test_lists_become_the_table() -> None:
    answers = {"good": lists({2: [4], 0: [2, 3], 1: [4, 3]}), "none": lists({})}
    found = evaluate_lists(answers, REQUESTS, ITEMS, EvaluateConfig(draws=10))
    assert found["good"]["mrr@10"]["value"] == pytest.approx((1 + 1 / 2 + 1) / 3)
    assert found["good"]["precision@5"]["value"] == pytest.approx(1 / 5)
    assert found["good"]["coverage@10"] == pytest.approx(3 / 4)
    assert found["good"]["ndcg@10"]["low"] <= found["good"]["ndcg@10"]["value"]
    assert found["none"]["recall@20"]["value"] == 0


def test_unknown_ids_are_ignored_and_an_id_counts_once() -> None:
    answers = {"odd": lists({0: [99, 2], 1: [3, 3, 3], 2: [], 77: [4]})}
    found = evaluate_lists(answers, REQUESTS, ITEMS, EvaluateConfig(draws=10))
    assert found["odd"]["mrr@10"]["value"] == pytest.approx(2 / 3)
    assert found["odd"]["precision@5"]["value"] == pytest.approx(2 / 15)


def test_lists_come_in_the_order_of_requests() -> None:
    found = align_lists(lists({2: [4], 1: list(range(30))}), REQUESTS)
    assert found["ranked"].list.len().to_list() == [0, 20, 1]


def test_two_answers_to_one_request_are_refused() -> None:
    twice = pl.concat([lists({0: [1]}), lists({0: [2]})])
    with pytest.raises(pl.exceptions.ComputeError, match="1:1"):
        align_lists(twice, REQUESTS)
