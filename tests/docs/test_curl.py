"""Tests that run the curl lines of README and docs as they are written, on the real service."""

import json
import re
import shutil
import subprocess

import httpx
import pytest

from benchmarks.robustness.servers import Replica, packaged
from flows.shell import CHECKOUT
from recloop.client import Client, ServiceError
from recloop.schemas.catalogue import ItemIn
from tests.support.waiting import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(
        shutil.which("curl") is None, reason="curl is not installed: apt-get install curl"
    ),
]
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
# An indented line continues the line before it.
LINES = [re.sub(r"\\?\n +", " ", text).splitlines() for kind, text in FENCED if not kind]
CALLS = [line for lines in LINES for line in lines if line.startswith("curl ")]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Start a service that knows the item of the examples, and return its address."""
    replica = Replica(packaged(tmp_path_factory.mktemp("service")), workers=1)
    replica.start()
    with Client(replica.address) as client:
        client.upsert([ItemIn(item_id="50", title="Star Wars (1977)", categories=["Drama"])])
        until(lambda: known(client, "50"))
    yield replica.address
    replica.stop()


def known(client: Client, item_id: str) -> bool:
    try:
        client.similar(item_id)
    except ServiceError:
        return False
    return True


def test_the_pages_show_every_endpoint() -> None:
    shown = "\n".join(CALLS)
    for path in ("recommend", "events", "items", "similar", "popular", "export", "users"):
        assert path in shown


@pytest.mark.parametrize("call", CALLS)
def test_the_example_works(address, call) -> None:
    line = call.replace("localhost:3000", str(httpx.URL(address).netloc, "ascii"))
    done = subprocess.run(
        ["bash", "-c", line.replace("curl ", "curl --silent --show-error --fail-with-body ", 1)],
        env={"KEY": "none", "PATH": "/usr/local/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)
