"""A clone of the repository with the synthetic shop as its source, for tests of whole commands."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml
from coverage import Coverage
from transformers import AutoTokenizer, BertConfig, BertModel

from flows import guard
from flows.processes import Patience, any_free_port
from flows.shell import stop_process_tree
from recloop.training.base_models import resolve_base
from tests.support import synthetic_shop

_SUPPORT = Path(__file__).resolve().parent
REPOSITORY = _SUPPORT.parents[1]
_GIT = {
    f"GIT_{role}_{what}": "test@localhost"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}
_SERVERS = ("PREFECT", "SERVICE", "REPORTS")


@dataclass(frozen=True)
class Checkout:
    """Clone in an empty folder, with its own home and its own source data."""

    folder: Path
    home: Path
    source: Path

    @classmethod
    def make(cls, root: Path) -> "Checkout":
        """Copy and commit the tracked files as they are now, with the shop as the source."""
        checkout = cls(root / "checkout", root / "home", synthetic_shop.write(root / "world"))
        for name in _lines(["git", "ls-files"], REPOSITORY):
            target = checkout.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target)
        path = checkout.folder / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        params["snapshot"]["source"] = {"kind": "csv", "folder": str(checkout.source)}
        # Enough for the model to learn the order of the films: it is twice as good as EASE.
        params["train"] |= {"epochs": 40, "learning_rate": 0.01, "text_passes": [1], "batch": 16}
        params["train"]["text"] |= {"base": str(small_base(root / "base")), "tuning": "lora"}
        params["decide"]["retrain"] |= {"min_new_interactions": 100}
        params["decide"]["promotion"] |= {"min_requests": 100}
        # Once a year, so that no flow starts by itself in the middle of a test.
        params["schedules"] = dict.fromkeys(params["schedules"], "0 0 1 1 *")
        path.write_text(yaml.safe_dump(params), encoding="utf-8")
        for command in ("init --quiet", "add --all", "commit --quiet --message start"):
            checkout.run("git", *command.split())
        checkout.run(sys.executable, "-m", "flows.setup")
        return checkout

    @property
    def environment(self) -> dict[str, str]:
        """Environment of a command, with free ports for the servers that it starts.

        The default ports would be chosen by another system that starts at the same time as well.
        """
        ports = {f"RECLOOP_{server}_PORT": str(any_free_port()) for server in _SERVERS}
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        paths = os.pathsep.join(
            [str(self.folder), str(self.folder / "src"), str(_SUPPORT / "measured_flows")]
        )
        measured = {} if Coverage.current() is None else {"MEASURED_FLOWS": str(REPOSITORY)}
        return {
            **os.environ,
            **_GIT,
            **ports,
            **measured,
            "PATH": tools,
            "PYTHONPATH": paths,
            "RECLOOP_HOME": str(self.home),
            "BENTOML_HOME": str(self.home / "bentoml"),
            # A late list is replaced by a fallback: what is in it would depend on the machine.
            "RECLOOP_DEADLINE_MS": "0",
        }

    def start(self, *command: str, output: Path) -> "subprocess.Popen[bytes]":
        """Start a command in the checkout, in the background.

        It is stopped with all that it started when this process is gone.
        """
        with output.open("wb") as sink:
            process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=self.environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        guard.watch(process.pid)
        return process

    def run(self, *command: str, code: int = 0) -> str:
        """Run a command in the checkout to its end, and return its output.

        A command that makes no progress for five minutes, fails or is interrupted is stopped with
        all that it started. What runs beside it in the same home is left alone.
        """
        self.home.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=self.home) as sink:
            path = Path(sink.name)
            process = self.start(*command, output=path)
            waiting = Patience(process.pid, path, seconds=300, limit=3_600)
            try:
                while _runs(process):
                    assert waiting.lasts(), f"{command}: no progress\n{path.read_text()}"
                output = path.read_text(encoding="utf-8", errors="replace")
                assert process.returncode == code, f"{command}: {process.returncode}\n{output}"
            except BaseException:
                stop_process_tree(process.pid, signal.SIGTERM)
                process.wait()
                raise
        return output

    def processes(self) -> list[psutil.Process]:
        """Return the running processes with this checkout's home in their environment."""
        return [process for process in psutil.process_iter() if self._is_of_home(process)]

    def stop(self) -> None:
        """Stop all processes of this checkout's home."""
        for process in self.processes():
            stop_process_tree(process.pid, signal.SIGTERM)

    def _is_of_home(self, process: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):
            running = process.status() != psutil.STATUS_ZOMBIE
            return running and process.environ().get("RECLOOP_HOME") == str(self.home)
        return False


def _runs(process: "subprocess.Popen[bytes]") -> bool:
    """Return whether a process still runs after a short while."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    return process.returncode is None


def small_base(folder: Path) -> Path:
    """Write a small BERT with random weights into a folder, as a user's own base model."""
    shape: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(**shape, intermediate_size=64)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(folder)
    return folder


def _lines(command: list[str], cwd: Path) -> list[str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
