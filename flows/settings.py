"""Settings of the loop: rules of the decisions, schedules and retention."""

from flows.shell import CHECKOUT
from recloop.config import ConfigModel, read_block
from recloop.decisions import PromotionRules, RetrainRules, RollbackRules, WarmStartRules
from recloop.store.retention import Retention


class DecisionConfig(ConfigModel):
    """Rules of each decision of the loop."""

    promotion: PromotionRules = PromotionRules()
    """When a challenger becomes the champion."""
    retrain: RetrainRules = RetrainRules()
    """When the monitor requests a retrain."""
    rollback: RollbackRules = RollbackRules()
    """When the champion is replaced by the version before it."""
    warm_start: WarmStartRules = WarmStartRules()
    """When training continues an earlier model."""


class SchedulesConfig(ConfigModel):
    """Cron expressions, in UTC."""

    retrain: str = "0 3 * * *"
    """When the retrain flow runs."""
    monitor: str = "0 * * * *"
    """When the monitor flow runs."""
    retain: str = "30 4 * * *"
    """When old rows are deleted."""


def read_decision_config() -> DecisionConfig:
    """Read the block `decide` of the checkout's `params.yaml`."""
    return read_block("decide", DecisionConfig, CHECKOUT / "params.yaml")


def read_schedules() -> SchedulesConfig:
    """Read the block `schedules` of the checkout's `params.yaml`."""
    return read_block("schedules", SchedulesConfig, CHECKOUT / "params.yaml")


def read_retention() -> Retention:
    """Read the block `retention` of the checkout's `params.yaml`."""
    return read_block("retention", Retention, CHECKOUT / "params.yaml")
