"""Training data: interactions before validation and before the test, and requests to measure on."""

from dataclasses import dataclass

from recloop.data.catalogue import Catalogue
from recloop.data.interaction_log import TEST_PART, VALID_PART, InteractionLog
from recloop.evaluation.evaluation_requests import Requests


@dataclass(frozen=True)
class TrainingData:
    """Items, interactions and validation requests.

    Attributes:
        catalogue: The items.
        train: Interactions before validation; models that learned from these tune the settings.
        past: Interactions before the test; what is packaged has learned from these.
        valid: Validation requests, all of them.
    """

    catalogue: Catalogue
    train: InteractionLog
    past: InteractionLog
    valid: Requests

    @classmethod
    def split(
        cls, catalogue: Catalogue, log: InteractionLog, *, group_by_time: bool, repeats: bool
    ) -> "TrainingData":
        """Return the data of a log whose rows know their part of the split.

        Args:
            catalogue: The items that the log's rows are about.
            log: Interactions; those of the test part are left out.
            group_by_time: As in `Requests.from_log`.
            repeats: Whether items of a history may be recommended again.
        """
        past = log.until(TEST_PART)
        valid = Requests.from_log(past, VALID_PART, group_by_time=group_by_time, repeats=repeats)
        return cls(catalogue, past.until(VALID_PART), past, valid)

    @property
    def items(self) -> int:
        """Number of items in the catalogue."""
        return len(self.catalogue)
