"""Settings of the loop: rules of the decisions, schedules and retention."""

from flows.shell import CHECKOUT
from recloop.config import ConfigModel, read_block
from recloop.decisions import PromotionRules, RetrainRules, RollbackRules, WarmStartRules
from recloop.store.retention import Retention


class DecisionConfig(ConfigModel):
    """Rules of each decision of the loop."""

    promotion: PromotionRules = PromotionRules()
    """Rules by which a challenger becomes the champion."""
    retrain: RetrainRules = RetrainRules()
    """Rules by which the monitor requests a retrain."""
    rollback: RollbackRules = RollbackRules()
    """Rules by which the version before the champion is promoted again."""
    warm_start: WarmStartRules = WarmStartRules()
    """Rules by which training continues an earlier model."""


class SchedulesConfig(ConfigModel):
    """Cron expressions, in UTC."""

    retrain: str = "0 3 * * *"
    """Schedule of the retrain flow."""
    monitor: str = "0 * * * *"
    """Schedule of the monitor flow."""
    retain: str = "30 4 * * *"
    """Schedule of the retention flow, which deletes old rows."""


def read_decision_config() -> DecisionConfig:
    """Read the block `decide` of the checkout's `params.yaml`."""
    return read_block("decide", DecisionConfig, CHECKOUT / "params.yaml")


def read_schedules() -> SchedulesConfig:
    """Read the block `schedules` of the checkout's `params.yaml`."""
    return read_block("schedules", SchedulesConfig, CHECKOUT / "params.yaml")


def read_retention() -> Retention:
    """Read the block `retention` of the checkout's `params.yaml`."""
    return read_block("retention", Retention, CHECKOUT / "params.yaml")
