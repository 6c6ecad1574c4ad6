"""Running the tools of the loop (git, DVC, BentoML, our stages) as child processes."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "BENTOML_DO_NOT_TRACK": "True",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONUNBUFFERED": "1",
}
_IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "recloop"), ("EMAIL", "recloop@localhost"))
}


class CommandError(RuntimeError):
    """A child process failed; the message holds the end of what it said."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Of children: this interpreter's tools first on PATH, every telemetry off unless it was set."""
    tools = str(Path(sys.executable).parent)
    path = f"{tools}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**_QUIET, **os.environ, **_IDENTITY, "PATH": path, **(extra or {})}


def run(
    command: Sequence[str],
    cwd: Path = CHECKOUT,
    log: Path | None = None,
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run to the end and return standard output; with `log`, output goes to the end of that file.

    Raises:
        CommandError: exit code other than 0.
    """
    if log is None:
        done = subprocess.run(
            command, cwd=cwd, env=environment(extra), capture_output=True, text=True, check=False
        )
        code, output, said = done.returncode, done.stdout, done.stdout + done.stderr
    else:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as sink:
            start = sink.tell()
            code = subprocess.run(
                command,
                cwd=cwd,
                env=environment(extra),
                stdout=sink,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
        output = said = log.read_text(encoding="utf-8", errors="replace")[start:]
    if code:
        raise CommandError(f"{' '.join(command)} failed ({code}): {said.strip()[-1500:]}")
    return output
