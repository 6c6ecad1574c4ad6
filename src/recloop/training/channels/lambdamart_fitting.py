"""Fitting of LambdaMART: trees that rank the candidates of the other channels.

Reference:
    Burges 2010, "From RankNet to LambdaRank to LambdaMART: An Overview".
    Ke et al. 2017, "LightGBM: A Highly Efficient Gradient Boosting Decision Tree".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from recloop.config import ConfigModel
from recloop.evaluation.evaluation_requests import Requests
from recloop.scoring.blend import (
    EASE,
    IALS,
    ITEM_KNN,
    POPULARITY,
    TEXT,
    recent_popularity,
    repeat_channels,
)
from recloop.scoring.channels.learned_ranking import CandidateChannels, LearnedRanking, Predict
from recloop.scoring.channels.popularity import Popularity
from recloop.scoring.channels.recent_popularity import at_request_times
from recloop.scoring.channels.text import TextSimilarity
from recloop.scoring.scorer import Channel, Scorer, history_channel
from recloop.training.channels.fitted_channels import Fitted, FittedChannels

if TYPE_CHECKING:
    import lightgbm as lgb

# Rank up to which NDCG is measured and pairs of items are compared.
_DEPTH = 10


class LambdaMARTConfig(ConfigModel):
    """Settings of LambdaMART.

    Attributes:
        per_channel: Candidates of each channel.
        learning_rate: Learning rate.
        leaves: Number of leaves.
        min_rows_in_leaf: Smallest number of rows in a leaf.
        l2: Ridge penalty of the leaves.
        max_trees: Largest number of trees; cross-validation chooses among these.
        folds: Folds of cross-validation, by user.
        threads: Largest number of threads.
    """

    per_channel: int = 50
    learning_rate: float = 0.05
    leaves: int = 15
    min_rows_in_leaf: int = 50
    l2: float = 10.0
    max_trees: int = 200
    folds: int = 4
    threads: int = 4


@dataclass(frozen=True)
class RankingTable:
    """Candidates of the requests with a relevant one.

    Attributes:
        features: `(candidates of all requests, features)`.
        labels: 1 for a relevant candidate, else 0; `(candidates of all requests,)`.
        sizes: Number of candidates of each request, `(requests,)`.
        users: User number of each request, `(requests,)`.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int8]
    sizes: NDArray[np.int64]
    users: NDArray[np.int64]

    def take(self, kept: NDArray[np.bool_]) -> "RankingTable":
        """Return only some requests; `kept` is `(requests,)`."""
        rows = np.repeat(kept, self.sizes)
        return RankingTable(
            self.features[rows], self.labels[rows], self.sizes[kept], self.users[kept]
        )


def fit_lambdamart(
    channels: FittedChannels, text: NDArray[np.float32], config: LambdaMARTConfig, seed: int
) -> Fitted[Channel]:
    """Fit trees on validation requests, and apply them to the channels fitted on all data.

    In training, the channels have not seen the validation data. Repeat consumption is one of the
    channels where seen items may be recommended.

    Args:
        channels: The fitted channels, the data and the validation requests.
        text: Text vectors of all items, `(items, width)`.
        config: Settings.
        seed: Seed of the folds and the trees.
    """
    last = channels.text_last(text)
    data, masked = channels.data, channels.valid.masked
    tuned, final = (
        CandidateChannels(_channels(channels, text, last, final=final), config.per_channel, masked)
        for final in (False, True)
    )
    table = ranking_table(tuned, channels.valid, data.items)
    predict, trees = fit_trees(table, list(tuned.channels), config, seed)
    setting = {"trees": trees, "requests": len(table.sizes), "text_last": last}
    return Fitted(
        LearnedRanking(tuned, predict, channels.popularity.tuned),
        LearnedRanking(final, predict, channels.popularity.final),
        setting,
    )


def ranking_table(candidates: CandidateChannels, requests: Requests, items: int) -> RankingTable:
    """Return the candidates of all requests that have a relevant one.

    Args:
        candidates: Channels that propose them.
        requests: The requests.
        items: Number of items of the catalogue.
    """
    features, labels, sizes = [], [], []
    for batch in requests.batches(items):
        table = candidates.table(batch)
        features.append(table.features)
        for rows, relevant in zip(table.rows, batch.relevant, strict=True):
            labels.append(np.isin(rows, relevant).astype(np.int8))
            sizes.append(len(rows))
    whole = RankingTable(
        np.concatenate(features), np.concatenate(labels), np.array(sizes), requests.user_numbers()
    )
    return whole.take(np.array([own.any() for own in labels]))


def fit_trees(
    table: RankingTable, names: list[str], config: LambdaMARTConfig, seed: int
) -> tuple[Predict, int]:
    """Return the learned function and its number of trees; without requests, a sum of the scores.

    Args:
        table: Candidates, relevant and not.
        names: Names of the channels; their scores are the first features.
        config: Settings.
        seed: Seed of the folds and the trees.
    """
    import lightgbm as lgb

    if not len(table.sizes):
        return lambda features: features[:, : len(names)].sum(1).astype(np.float64), 0
    trees = _best_number_of_trees(table, config, seed)
    booster = lgb.train(_parameters(config, seed), _dataset(table), trees)

    def predict(features: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(booster.predict(features, num_threads=_threads(config)), np.float64)

    return predict, trees


def _best_number_of_trees(table: RankingTable, config: LambdaMARTConfig, seed: int) -> int:
    """Return the number of trees with the best mean NDCG@10 of users that were left out."""
    import lightgbm as lgb

    users, number = np.unique(table.users, return_inverse=True)
    folds = min(config.folds, len(users))
    if folds < 2:  # noqa: PLR2004 - cross-validation needs two parts
        return config.max_trees
    fold = (np.random.default_rng(seed).permutation(len(users)) % folds)[number]
    total = np.zeros(config.max_trees)
    for left_out in range(folds):
        found: dict[str, dict[str, list[float]]] = {}
        train = _dataset(table.take(fold != left_out))
        lgb.train(
            _parameters(config, seed),
            train,
            config.max_trees,
            valid_sets=[_dataset(table.take(fold == left_out), train)],
            valid_names=["left out"],
            callbacks=[lgb.record_evaluation(found)],
        )
        total += np.array(found["left out"][f"ndcg@{_DEPTH}"]) * (fold == left_out).sum()
    return int(total.argmax()) + 1


def _dataset(table: RankingTable, reference: "lgb.Dataset | None" = None) -> "lgb.Dataset":
    import lightgbm as lgb

    parameters = {"max_bin": 63, "feature_pre_filter": False, "verbose": -1}
    return lgb.Dataset(
        table.features,
        table.labels,
        group=table.sizes,
        reference=reference,
        params=parameters,
    )


def _parameters(config: LambdaMARTConfig, seed: int) -> dict[str, Any]:
    return {
        "objective": "lambdarank",
        "lambdarank_truncation_level": 2 * _DEPTH,
        "metric": "ndcg",
        "eval_at": [_DEPTH],
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_rows_in_leaf,
        "lambda_l2": config.l2,
        "max_bin": 63,
        "feature_pre_filter": False,
        "force_row_wise": True,
        "deterministic": True,
        "num_threads": _threads(config),
        "seed": seed,
        "verbose": -1,
    }


def _threads(config: LambdaMARTConfig) -> int:
    return max(1, min(config.threads, torch.get_num_threads()))


def _channels(
    channels: FittedChannels, text: NDArray[np.float32], last: int, *, final: bool
) -> Mapping[str, Channel]:
    """Return the channels by name, fitted on all data before the test or on training data."""
    by_items: dict[str, Scorer] = {
        EASE: _chosen(channels.ease, final=final),
        ITEM_KNN: _chosen(channels.item_knn, final=final),
        IALS: _chosen(channels.ials, final=final),
        POPULARITY: Popularity(_chosen(channels.popularity, final=final)),
        TEXT: TextSimilarity(text, last),
    }
    found = {name: history_channel(scorer) for name, scorer in by_items.items()}
    for number, fitted in enumerate(channels.recent):
        found[recent_popularity(number)] = at_request_times(_chosen(fitted, final=final))
    return found | ({} if channels.valid.masked else repeat_channels(channels.data.items))


def _chosen(fitted: Fitted[Any], *, final: bool) -> Any:  # noqa: ANN401 - any kind of model
    return fitted.final if final else fitted.tuned
