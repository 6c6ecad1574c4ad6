"""Compute RecTools' metrics of a table of lists, in RecTools' environment.

`python -m benchmarks.peers.rectools_metrics LISTS REQUESTS OUT` writes one row per request to OUT.
Ids are text.
"""

import sys

import pandas as pd
from rectools import Columns
from rectools.metrics import MRR, NDCG, HitRate, Precision, Recall

KS = (5, 10, 20)


def main(lists: str, requests: str, out: str) -> None:
    """Compute the metrics of each request and write them."""
    requested = pd.read_parquet(requests)
    ranked = _long(pd.read_parquet(lists), "ranked")
    ranked[Columns.Rank] = ranked.groupby(Columns.User).cumcount() + 1
    relevant = _long(requested, "relevant")
    values = {}
    for k in KS:
        metrics = {
            "ndcg": NDCG(k=k, divide_by_achievable=True),
            "ndcg (default)": NDCG(k=k),
            "recall": Recall(k=k),
            "hit rate": HitRate(k=k),
            "mrr": MRR(k=k),
            "precision": Precision(k=k),
        }
        for name, metric in metrics.items():
            values[f"{name}@{k}"] = metric.calc_per_user(ranked, relevant)
    # RecTools has no value for a request without relevant items; ours is 0.
    table = pd.DataFrame(values).reindex(requested["request"]).fillna(0.0)
    table.rename_axis("request").reset_index().to_parquet(out)


def _long(table: pd.DataFrame, column: str) -> pd.DataFrame:
    long = table.set_index("request")[column].explode().dropna().reset_index()
    return long.set_axis([Columns.User, Columns.Item], axis=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
