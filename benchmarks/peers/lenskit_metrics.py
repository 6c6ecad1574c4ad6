"""Compute LensKit's metrics of a table of lists, in LensKit's environment.

`python -m benchmarks.peers.lenskit_metrics LISTS REQUESTS OUT` writes one row per request to OUT.
Ids are text. By default LensKit's NDCG gives the first two ranks the same discount; ranks are
shifted here to agree with ours. If LensKit has no value (no ranked or no relevant item), ours is 0.
"""

import sys

import pandas as pd
from lenskit.data import ItemList
from lenskit.metrics import NDCG, Hit, LogRankWeight, Precision, Recall, RecipRank

KS = (5, 10, 20)
METRICS = {
    "ndcg": lambda n: NDCG(n=n, weight=LogRankWeight(offset=1)),
    "recall (at most k)": Recall,
    "hit rate": Hit,
    "mrr": RecipRank,
    "precision (of those ranked)": Precision,
}


def main(lists: str, requests: str, out: str) -> None:
    """Compute the metrics of each request and write them."""
    ranked = pd.read_parquet(lists)["ranked"]
    requested = pd.read_parquet(requests)
    rows = [
        _values(ItemList(item_ids=list(items), ordered=True), ItemList(item_ids=list(relevant)))
        for items, relevant in zip(ranked, requested["relevant"], strict=True)
    ]
    table = pd.DataFrame(rows).fillna(0.0)
    table.insert(0, "request", requested["request"])
    table.to_parquet(out)


def _values(ranked: ItemList, relevant: ItemList) -> dict[str, float]:
    if len(relevant) == 0:
        return {}
    return {
        f"{name}@{k}": metric(n=k).measure_list(ranked, relevant)
        for k in KS
        for name, metric in METRICS.items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
