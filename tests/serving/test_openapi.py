"""The running service conforms to its own OpenAPI document (schemathesis)."""

from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from benchmarks.robustness.servers import Replica, packaged

pytestmark = pytest.mark.system
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
# Beyond 64 KiB, the HTTP server refuses a request line itself, before the API sees it.
LONGEST_QUERY = 60_000
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)


@pytest.fixture(scope="module")
def contract(tmp_path_factory):
    replica = Replica(packaged(tmp_path_factory.mktemp("service")), workers=1)
    replica.start()
    yield schemathesis.openapi.from_url(f"{replica.address}/openapi.json")
    replica.stop()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.value)
def test_every_response_conforms_to_the_openapi_document(contract, mode) -> None:
    operations = [found.ok() for found in contract.get_all_operations()]
    assert {"POST /v1/recommend", "POST /v1/events"} <= {each.label for each in operations}
    for operation in operations:

        @settings(
            max_examples=50,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case) -> None:
            assume(len(urlencode(case.query or {}, doseq=True)) < LONGEST_QUERY)
            case.call_and_validate(checks=CHECKS)

        ask()
