"""Peer RecBole: EASE, ItemKNN, BPR and SASRec.

RecBole scores users by their training interactions, but each request has a history of its own.
EASE and ItemKNN are therefore applied through their fitted item-item weights, and SASRec gets the
history as its sequence. BPR has a vector per training user, and returns no list for other users.
RecBole's SASRec makes a sample of every prefix and is slow, so it runs only if it is named.
"""

import copy
import logging
import tempfile
import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.data import create_dataset
from recbole.data.dataloader import TrainDataLoader
from recbole.data.interaction import Interaction
from recbole.sampler import Sampler
from recbole.utils import get_model, get_trainer, init_seed
from scipy import sparse

from benchmarks.peers.common import (
    Fitted,
    Lists,
    Peer,
    Setting,
    Validation,
    history_cells,
    run,
    top_items,
)

SEED = 42
NAME = "folder"

warnings.filterwarnings("ignore", module="recbole")


class RecBole(ABC):
    """Fitted model of RecBole with its item ids."""

    def __init__(self, model: Any, dataset: Any, items: pd.Index) -> None:
        self.model, self._dataset = model, dataset
        ids = dict(zip(items.astype(str), items, strict=True))
        self._items = pd.Index([ids[token] for token in dataset.field2id_token["item_id"][1:]])

    def rank(self, requests: pd.DataFrame, mask: bool) -> Lists:
        history = history_cells(requests, self._items)
        with torch.no_grad():
            self.model.eval()
            scores = np.asarray(self._scores(requests, history), np.float32)
        # Item number 0 is RecBole's padding.
        return top_items(scores[:, 1:], self._items, history if mask else None)

    @abstractmethod
    def _scores(self, requests: pd.DataFrame, history: tuple[Any, Any]) -> Any:
        """Return scores, shape `(requests, items)`; the first column is RecBole's padding."""


class ItemItem(RecBole):
    """EASE and ItemKNN: scores are the history times the item-item weights."""

    def _scores(self, requests: pd.DataFrame, history: tuple[Any, Any]) -> Any:
        rows, columns = history
        shape = len(requests), len(self._items) + 1
        matrix = sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns + 1)), shape)
        if hasattr(self.model, "item_similarity"):
            return matrix @ np.asarray(self.model.item_similarity)
        return (matrix @ self.model.w).toarray()


class Factors(RecBole):
    """BPR: scores use the vector of a training user."""

    def _scores(self, requests: pd.DataFrame, history: tuple[Any, Any]) -> Any:
        del history
        numbers = self._dataset.field2token_id["user_id"]
        users = np.array([numbers.get(str(user), 0) for user in requests["user_id"]])
        vectors = self.model.user_embedding.weight[torch.from_numpy(users)]
        scores = (vectors @ self.model.item_embedding.weight.T).numpy()
        scores[users == 0] = -np.inf
        return scores


class Sequence(RecBole):
    """SASRec: scores use the end of the history as the sequence."""

    def _scores(self, requests: pd.DataFrame, history: tuple[Any, Any]) -> Any:
        length = self.model.max_seq_length
        ends = np.zeros((len(requests), length), np.int64)
        lengths = np.ones(len(requests), np.int64)
        rows, columns = history
        for row in np.unique(rows):
            last = columns[rows == row][-length:] + 1
            ends[row, : len(last)] = last
            lengths[row] = len(last)
        interaction = Interaction(
            {"item_id_list": torch.from_numpy(ends), "item_length": torch.from_numpy(lengths)}
        )
        return self.model.full_sort_predict(interaction).numpy()


def _config(name: str, setting: Setting, folder: str) -> Config:
    return Config(
        model=name,
        dataset=NAME,
        config_dict={
            "data_path": folder,
            "checkpoint_dir": folder,
            "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {
                "split": {"RS": [1, 0, 0]},
                "order": "TO",
                "group_by": None,
                "mode": "full",
            },
            "MAX_ITEM_LIST_LENGTH": 50,
            "train_batch_size": 2048,
            "use_gpu": False,
            "show_progress": False,
            "seed": SEED,
            "state": "ERROR",
            **({"train_neg_sample_args": None} if name == "SASRec" else {}),
            **setting,
        },
    )


def _write(rows: pd.DataFrame, folder: str) -> None:
    """Write RecBole's atomic file; the row number is used as the time."""
    target = Path(folder, NAME)
    target.mkdir()
    atomic = pd.DataFrame(
        {
            "user_id:token": rows["user_id"].to_numpy(),
            "item_id:token": rows["item_id"].to_numpy(),
            "timestamp:float": np.arange(len(rows)),
        }
    )
    atomic.to_csv(target / f"{NAME}.inter", sep="\t", index=False)


def _fit(
    name: str,
    kind: type[RecBole],
    rows: pd.DataFrame,
    setting: Setting,
    validation: Validation | None,
) -> Fitted:
    logging.disable(logging.WARNING)
    setting = dict(setting)
    epochs, patience = setting.get("epochs", 0), setting.pop("patience", 0)
    with tempfile.TemporaryDirectory() as folder:
        _write(rows, folder)
        config = _config(name, setting, folder)
        init_seed(SEED, reproducibility=True)
        dataset = create_dataset(config)
        train = dataset.build()[0]
        model = get_model(name)(config, train)
        ranker = kind(model, dataset, pd.Index(rows["item_id"].unique()))
        if not epochs:
            return Fitted(ranker, setting)
        sampler = None
        if name == "BPR":
            sampler = Sampler(["train"], [train], "uniform").set_phase("train")
        loader = TrainDataLoader(config, train, sampler, shuffle=True)
        trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        found = _train(trainer, loader, ranker, epochs, patience, validation)
    return Fitted(ranker, {**setting, "epochs": found, "patience": patience})


def _train(
    trainer: Any,
    loader: Any,
    ranker: RecBole,
    epochs: int,
    patience: int,
    validation: Validation | None,
) -> int:
    """Train, stop early if there are validation requests, and return the number of epochs."""
    best, kept, weights = -1.0, epochs, None
    for epoch in range(epochs):
        ranker.model.train()
        trainer._train_epoch(loader, epoch, show_progress=False)
        if validation is None:
            continue
        quality = validation.ndcg(ranker)
        if quality > best:
            best, kept = quality, epoch + 1
            weights = copy.deepcopy(ranker.model.state_dict())
        if epoch + 1 - kept >= patience:
            break
    if weights is not None:
        ranker.model.load_state_dict(weights)
    return kept


def fit_ease(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit EASE (Steck 2019)."""
    return _fit("EASE", ItemItem, rows, setting, validation)


def fit_item_knn(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit item-kNN (Deshpande & Karypis 2004)."""
    return _fit("ItemKNN", ItemItem, rows, setting, validation)


def fit_bpr(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit BPR (Rendle et al. 2009)."""
    return _fit("BPR", Factors, rows, setting, validation)


def fit_sasrec(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit SASRec (Kang & McAuley 2018)."""
    return _fit("SASRec", Sequence, rows, setting, validation)


PEERS = {
    "recbole-ease": Peer(
        fit_ease, [{"reg_weight": l2} for l2 in (10.0, 50.0, 100.0, 250.0, 500.0, 1000.0)]
    ),
    "recbole-itemknn": Peer(
        fit_item_knn,
        [{"k": k, "shrink": shrink} for k in (20, 50, 100, 300, 800) for shrink in (0.0, 10.0)],
    ),
    "recbole-bpr": Peer(
        fit_bpr,
        [
            {"embedding_size": size, "learning_rate": lr, "epochs": 200, "patience": 15}
            for size in (64, 128)
            for lr in (1e-3, 3e-3)
        ],
    ),
    "recbole-sasrec": Peer(
        fit_sasrec,
        [{"learning_rate": 1e-3, "hidden_dropout_prob": 0.5, "epochs": 100, "patience": 5}],
    ),
}

if __name__ == "__main__":
    run(PEERS, ["recbole", "torch", "numpy", "scipy", "pandas"])
