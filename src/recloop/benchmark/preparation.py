"""Preparation of a data set for a benchmark: training data, settings and test requests."""

from dataclasses import dataclass
from typing import Any

from recloop.benchmark.config import BenchmarkConfig
from recloop.benchmark.dataset import DataSet, FolderError
from recloop.data.interaction_log import TEST_PART
from recloop.evaluation.evaluation_requests import Requests
from recloop.training.base_models import TextConfig
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.training_data import TrainingData


@dataclass(frozen=True)
class Benchmark:
    """Data set in the form of the pipeline, with settings and test requests.

    Attributes:
        data: Catalogue, training and validation data.
        config: Settings of training.
        test_requests: Test requests, possibly a sample.
        test_facts: Properties of the test that go into the document.
    """

    data: TrainingData
    config: TrainConfig
    test_requests: Requests
    test_facts: dict[str, Any]


def prepare(data: DataSet, config: BenchmarkConfig) -> Benchmark:
    """Return the data set in the form of the pipeline, with its test requests.

    Raises:
        FolderError: Validation or test has no requests.
    """
    repeats = data.allows_repeats(setting=config.repeats)
    group_by_time = config.protocol == "temporal"
    log, catalogue = data.log(repeats=repeats), data.catalogue()
    training = TrainingData.split(catalogue, log, group_by_time=group_by_time, repeats=repeats)
    all_requests = Requests.from_log(log, TEST_PART, group_by_time=group_by_time, repeats=repeats)
    if not training.valid.histories or not all_requests.histories:
        raise FolderError("validation or test has no requests: no item is new to its user")
    sample_size = int(max(2_000, config.test_scores / len(catalogue)))
    test_requests = all_requests.sample(sample_size, config.seed)
    text = TextConfig(tuning=config.tuning) if config.tuning else TextConfig()
    test_facts = {
        "seen_masked": not repeats,
        "requests": len(test_requests.histories),
        "requests_in_data": len(all_requests.histories),
    }
    settings = TrainConfig(seed=config.seed, seconds=config.seconds, text=text)
    return Benchmark(training, settings, test_requests, test_facts)
