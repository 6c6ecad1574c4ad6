"""Generator of the configuration page, from the classes that read the settings.

`make docs` writes `docs/configuration.md`; a test compares the page with the same function.
"""

import ast
import inspect
import itertools
import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import polars as pl
from pydantic import BaseModel, SecretStr, TypeAdapter

from flows.settings import DecisionConfig, SchedulesConfig
from recloop.config import ConfigModel
from recloop.data.interaction_log import InteractionLog
from recloop.data.snapshot import SnapshotConfig
from recloop.data.split import SplitConfig
from recloop.evaluation.report import EvaluateConfig
from recloop.settings import Settings, is_secret, variables_of
from recloop.stages.ranker import RankerStageConfig
from recloop.stages.reference import ReferenceConfig
from recloop.store.retention import Retention
from recloop.training.channels.fitted_channels import ChannelGrids
from recloop.training.finetuning.auto_settings import settings_from_data
from recloop.training.finetuning.pretraining import PretrainConfig
from recloop.training.finetuning.sequence_model import TrainConfig
from recloop.training.packaging import ExportConfig
from recloop.validation.config import ValidateConfig

PAGE = Path("docs/configuration.md")
BLOCKS: dict[str, type[ConfigModel]] = {
    "snapshot": SnapshotConfig,
    "validate": ValidateConfig,
    "split": SplitConfig,
    "pretrain": PretrainConfig,
    "train": TrainConfig,
    "ranker": RankerStageConfig,
    "baselines": ChannelGrids,
    "export": ExportConfig,
    "evaluate": EvaluateConfig,
    "reference": ReferenceConfig,
    "decide": DecisionConfig,
    "schedules": SchedulesConfig,
    "retention": Retention,
}
_INTRODUCTION = """\
# Configuration

This page is written by `make docs` from the classes that read the settings.

Settings of the machine and of the service are environment variables. Settings of the pipeline and
of the loop are in `params.yaml`, one block for each stage. A value that is not allowed and a
misspelt name are errors when a program starts; the message names the setting. Rules and
experiments of the service are in the file that `RECLOOP_POLICY` names ([API](api.md)).
"""
_ENVIRONMENT = """
## Environment variables

An empty variable means the default, except for the key for pseudonyms. Values of secrets are in
no log and no message.
"""
_LIBRARIES = """
Variables of the libraries keep their meaning. These matter most:

| variable | read by | meaning |
|---|---|---|
| `FORWARDED_ALLOW_IPS` | Uvicorn | trusted proxies for `X-Forwarded-For`, default `127.0.0.1` |
| `OTEL_EXPORTER_OTLP_HEADERS` | OpenTelemetry | headers of the exporter, such as a token |
| `PREFECT_LOGGING_LEVEL` | Prefect | level of its processes' logs, by default `WARNING` |
| `HF_HUB_OFFLINE` | Hugging Face | `1`: download nothing |
| `OMP_NUM_THREADS` | PyTorch, ONNX Runtime | threads of one process |

`make run` and `make up` set `BENTOML_HOME`, `PREFECT_HOME` and `PREFECT_API_URL` for the processes
that they start, to folders of the home and to the address of their server.
"""
_PARAMS = """
## `params.yaml`

The default holds where `params.yaml` does not name the setting; the file that comes with recloop
sets some to other values.
"""


Schema = dict[str, Any]


class Row(NamedTuple):
    """One setting, as the page shows it."""

    name: str
    kind: str
    default: str
    meaning: str


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_INTRODUCTION, _ENVIRONMENT, _table("variable", _variables()), _LIBRARIES, _PARAMS]
    for block, model in BLOCKS.items():
        parts += [f"\n### `{block}`\n\n{_first_sentence(model)}\n"]
        from_data = _settings_from_data() if model is TrainConfig else None
        parts += [_table("setting", _rows(model, from_data or model(), "", from_data is not None))]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


def meanings(model: type[BaseModel]) -> dict[str, str]:
    """Return the text below each field of a class and of its bases, in one line each."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base.__module__.partition(".")[0] not in {"recloop", "flows"}:
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, below in itertools.pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                text = ast.literal_eval(below.value)
                found[ast.unparse(field.target)] = " ".join(text.split())
    return found


def _variables() -> Iterator[Row]:
    texts, schema = meanings(Settings), Settings.model_json_schema(by_alias=False)
    for name, field in Settings.model_fields.items():
        kind = (
            "secret"
            if is_secret(name)
            else _kind(schema["properties"][name], schema.get("$defs", {}))
        )
        variables = " or ".join(f"`{variable}`" for variable in variables_of(name))
        yield Row(variables, kind, _default(field.default), texts[name])


def _settings_from_data() -> TrainConfig:
    """Return settings of which exactly those that are chosen from the data are set."""
    row = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "timestamp": [0], "part": [0]})
    row = row.with_columns(pl.from_epoch("timestamp"))
    log = InteractionLog.from_frame(row, pl.Series(["i"]), repeats=False)
    return settings_from_data(TrainConfig(), log, texts=1)


def _rows(
    model: type[ConfigModel], defaults: ConfigModel, prefix: str, from_data: bool = False
) -> Iterator[Row]:
    texts, schema = meanings(model), model.model_json_schema()
    for name, field in model.model_fields.items():
        value = getattr(defaults, name)
        if isinstance(value, ConfigModel):
            yield from _rows(type(value), value, f"{prefix}{name}.", from_data)
            continue
        kind = _kind(schema["properties"][name], schema.get("$defs", {}))
        default = "from the data" if from_data and name in defaults.model_fields_set else None
        yield Row(f"`{prefix}{name}`", kind, default or _default(value), texts[name])
        for each in _models(field.annotation):
            yield from _rows(each, each(), f"{prefix}{name}[].")


def _models(annotation: Any) -> Iterator[type[ConfigModel]]:
    if isinstance(annotation, type) and issubclass(annotation, ConfigModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _kind(schema: Schema, definitions: Schema) -> str:
    """Return the type of a field in a few words, from its JSON schema."""
    if "anyOf" in schema:
        kinds = [_kind(each, definitions) for each in schema["anyOf"] if each.get("type") != "null"]
        return ", ".join(kinds)
    if "$ref" in schema:
        return _kind(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'], definitions)}" if "items" in schema else "list"
    names = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    kind = str(schema.get("type", "settings"))
    name = names.get(kind, kind)
    name = {"path": "path", "object": "mapping"}.get(str(schema.get("format", name)), name)
    return " ".join([name, " and ".join(_bounds(schema))]).strip()


def _bounds(schema: Schema) -> Iterator[str]:
    words = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    for key, word in words.items():
        if key in schema:
            yield f"{word} {schema[key]}"


def _default(value: object) -> str:
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, str | Path):
        return f"`{value}`"
    if not value:
        return "empty"
    plain = TypeAdapter(Any).dump_python(value, mode="json", exclude_unset=True)
    return f"`{json.dumps(plain)}`".replace('"', "")


def _first_sentence(model: type[BaseModel]) -> str:
    return " ".join((inspect.getdoc(model) or "").partition("\n\n")[0].split())


def _table(head: str, rows: Iterable[Row]) -> str:
    lines = [f"| {head} | type | default | meaning |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
