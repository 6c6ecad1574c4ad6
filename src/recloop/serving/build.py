"""Construction of the service from the settings of the environment."""

from functools import partial

from fastapi import FastAPI

from recloop.data.pseudonyms import Pseudonyms
from recloop.recommender.site_rules import SiteRules
from recloop.registry.versions import Registry
from recloop.serving.app import create_app
from recloop.serving.engine import Engine
from recloop.serving.execution.deadline import DeadlineConfig
from recloop.serving.middleware.security import SecurityConfig
from recloop.serving.telemetry.event_metrics import set_newest_event_time
from recloop.serving.telemetry.prometheus import metrics
from recloop.serving.telemetry.tracing import tracer
from recloop.serving.warm_up import freeze_gc, set_model_age
from recloop.settings import read_settings
from recloop.store.api_keys import KeyStore
from recloop.store.event_store import EventStore
from recloop.store.schema_version import StoreSchemaError
from recloop.store.user_id_scheme import UserIdSchemeError, check_user_id_scheme

# Errors of the settings, the files and the stores, which a restart does not remove. A database that
# cannot be reached is not among them.
STARTUP_ERRORS = (OSError, ValueError, StoreSchemaError, UserIdSchemeError)


def build_service() -> tuple[Engine, FastAPI]:
    """Build and start the engine of one worker, and build the application over it.

    Raises:
        ConfigError: A setting is not allowed, or a file that it names cannot be read.
        StoreSchemaError: A newer version has upgraded the event store or the API keys.
        UserIdSchemeError: The store and the settings identify users in different ways.
    """
    settings = read_settings()
    home, pseudonyms = settings.home, Pseudonyms.of_settings(settings)
    security = SecurityConfig.of_settings(settings)
    registry, store = Registry(home, pseudonyms.scheme), EventStore.of(home)
    check_user_id_scheme(store, pseudonyms)
    if security.keys is not None:
        KeyStore.at(security.keys)
    engine = Engine(
        registry,
        home.champion,
        store,
        settings.poll_seconds,
        SiteRules.from_file(settings.policy),
        DeadlineConfig.of_settings(settings),
        partial(_on_load, registry),
    )
    app = create_app(engine, security, pseudonyms)
    metrics()
    tracer()
    set_newest_event_time(store)
    engine.start()
    return engine, app


def _on_load(registry: Registry, version: str) -> None:
    set_model_age(registry, version)
    freeze_gc()
