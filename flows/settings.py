"""The loop's own settings: rules of the decisions, and schedules."""

from flows.shell import CHECKOUT
from recloop.config import Settings, read_block
from recloop.decisions import PromotionRules, RetrainRules, RollbackRules, WarmStartRules


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


def decide_config() -> DecideConfig:
    """From the checkout's `params.yaml`."""
    return read_block("decide", DecideConfig, CHECKOUT / "params.yaml")


def schedules() -> SchedulesConfig:
    """From the checkout's `params.yaml`."""
    return read_block("schedules", SchedulesConfig, CHECKOUT / "params.yaml")
