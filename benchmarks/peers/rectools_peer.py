"""Peer RecTools (MTS): SASRec and BERT4Rec.

The loss is the one that its documentation recommends: softmax over the whole catalogue or, if that
is too large, sampled softmax with many negatives. The number of epochs is found on validation data
with early stopping; the refit on train and validation takes as many. `trace` holds validation
NDCG@10 over the seconds of training.
"""

import copy
import json
import logging
import time
import warnings
from typing import Any

import pandas as pd
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel

from benchmarks.peers.common import DEPTH, Fitted, Lists, Peer, Setting, Validation, run

SEED = 42
MAX_EPOCHS = 300
# Largest catalogue for a softmax over all items; with more it takes too long on a CPU.
LARGE = 20_000
NEGATIVES = 256

warnings.filterwarnings("ignore", module="pytorch_lightning|rectools|pandas|pydantic")
logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def ordered_dataset(users: pd.Series, items: pd.Series) -> Dataset:
    """Return a RecTools data set of rows in order, with the row number as the time."""
    times = pd.Timestamp("2000-01-01") + pd.to_timedelta(range(len(users)), unit="s")
    return Dataset.construct(
        pd.DataFrame(
            {
                Columns.User: users.to_numpy(),
                Columns.Item: items.to_numpy(),
                Columns.Weight: 1.0,
                Columns.Datetime: times,
            }
        )
    )


class Transformer:
    """Fitted RecTools model; requests are passed as users of a data set of their histories."""

    def __init__(self, model: SASRecModel | BERT4RecModel) -> None:
        self.model = model

    def rank(self, requests: pd.DataFrame, mask: bool) -> Lists:
        long = requests.set_index("request")["history"].explode().dropna()
        histories = ordered_dataset(long.index.to_series(), long)
        found = self.model.recommend(
            long.index.unique().to_numpy(),
            histories,
            k=DEPTH,
            filter_viewed=mask,
            on_unsupported_targets="ignore",
        )
        lists = found.groupby(Columns.User, sort=False)[Columns.Item].agg(list)
        return [list(lists.get(request, [])) for request in requests["request"]]


class EarlyStopping(Callback):
    """Callback that measures validation after each epoch, keeps the best weights and stops early.

    The time of measuring does not count as training time.
    """

    def __init__(
        self, model: SASRecModel | BERT4RecModel, validation: Validation, patience: int
    ) -> None:
        self._model, self._validation, self._patience = model, validation, patience
        self._since, self._seconds = time.perf_counter(), 0.0
        self.trace: list[dict[str, float]] = []
        self.best, self.epochs = -1.0, 0
        self.weights: dict[str, Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "EarlyStopping":
        """Return this object: RecTools copies its trainer, and the results are needed here."""
        return self

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._seconds += time.perf_counter() - self._since
        self._model.is_fitted = True
        quality = self._validation.ndcg(Transformer(self._model))
        self.trace.append({"seconds": round(self._seconds, 3), "ndcg@10": quality})
        print(json.dumps(self.trace[-1]), flush=True)
        epoch = len(self.trace)
        if quality > self.best:
            self.best, self.epochs = quality, epoch
            self.weights = copy.deepcopy(pl_module.state_dict())
        trainer.should_stop = epoch - self.epochs >= self._patience
        pl_module.train()
        self._since = time.perf_counter()


def _trainer(epochs: int, callbacks: list[Callback]) -> Trainer:
    return Trainer(
        accelerator="cpu",
        callbacks=callbacks,
        devices=1,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        logger=False,
        max_epochs=epochs,
        num_sanity_val_steps=0,
    )


def _fit(kind: Any, rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    seed_everything(SEED, workers=True)
    arguments = dict(setting)
    epochs, patience = arguments.pop("epochs", MAX_EPOCHS), arguments.pop("patience")
    large = rows["item_id"].nunique() > LARGE
    loss = {"loss": "sampled_softmax", "n_negatives": NEGATIVES} if large else {"loss": "softmax"}
    model = kind(**loss, **arguments)
    stopping = EarlyStopping(model, validation, patience) if validation else None
    model._trainer = _trainer(epochs, [stopping] if stopping else [])  # as documented
    model.fit(ordered_dataset(rows["user_id"], rows["item_id"]))
    if stopping is None:
        return Fitted(Transformer(model), setting)
    model.lightning_model.load_state_dict(stopping.weights)
    found = {**setting, "epochs": stopping.epochs}
    return Fitted(Transformer(model), found, {"loss": loss, "trace": stopping.trace})


def fit_sasrec(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit SASRec (Kang & McAuley 2018) with RecTools' losses."""
    return _fit(SASRecModel, rows, setting, validation)


def fit_bert4rec(rows: pd.DataFrame, setting: Setting, validation: Validation | None) -> Fitted:
    """Fit BERT4Rec (Sun et al. 2019)."""
    return _fit(BERT4RecModel, rows, setting, validation)


def _grid(patience: int) -> list[Setting]:
    shapes = [(64, 0.2), (128, 0.4)]
    return [
        {
            "n_factors": factors,
            "n_heads": 2,
            "n_blocks": 2,
            "dropout_rate": dropout,
            "lr": lr,
            "batch_size": 128,
            "session_max_len": 50,
            "patience": patience,
        }
        for factors, dropout in shapes
        for lr in (1e-3, 3e-3)
    ]


PEERS = {
    "rectools-sasrec": Peer(fit_sasrec, _grid(patience=15)),
    "rectools-bert4rec": Peer(fit_bert4rec, _grid(patience=30)),
}

if __name__ == "__main__":
    run(PEERS, ["rectools", "torch", "pytorch-lightning", "numpy", "pandas"])
