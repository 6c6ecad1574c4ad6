"""Use of recloop from the files of a wheel or of a Bento."""

import subprocess
import sys
from pathlib import Path


def create_store_with(sources: Path) -> None:
    """Create a store in a process that imports recloop from a folder and writes no bytecode."""
    program = (
        "from pathlib import Path; import recloop;"
        " from recloop.store.event_store import EventStore;"
        " print(recloop.__file__); print(EventStore.at(Path('store.db')).events().height)"
    )
    printed = subprocess.run(
        [sys.executable, "-B", "-c", program],
        cwd=sources,
        env={"PYTHONPATH": str(sources)},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert printed == [str(sources / "recloop" / "__init__.py"), "0"]
