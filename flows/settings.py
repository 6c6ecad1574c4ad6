"""The loop's own settings: rules of the decisions, schedules, and how long rows are held."""

from flows.shell import CHECKOUT
from recloop.config import Settings, read_block
from recloop.decisions import PromotionRules, RetrainRules, RollbackRules, WarmStartRules
from recloop.store.retention import Retention


class DecideConfig(Settings):
    """The rules of each decision."""

    promotion: PromotionRules = PromotionRules()
    retrain: RetrainRules = RetrainRules()
    rollback: RollbackRules = RollbackRules()
    warm_start: WarmStartRules = WarmStartRules()


class SchedulesConfig(Settings):
    """Cron expressions, in UTC."""

    retrain: str = "0 3 * * *"
    monitor: str = "0 * * * *"
    retain: str = "30 4 * * *"


def decide_config() -> DecideConfig:
    """From the checkout's `params.yaml`."""
    return read_block("decide", DecideConfig, CHECKOUT / "params.yaml")


def schedules() -> SchedulesConfig:
    """From the checkout's `params.yaml`."""
    return read_block("schedules", SchedulesConfig, CHECKOUT / "params.yaml")


def retention() -> Retention:
    """From the checkout's `params.yaml`."""
    return read_block("retention", Retention, CHECKOUT / "params.yaml")
