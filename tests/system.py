"""A checkout of its own with the small world as its source, and the commands a user types there."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import world
import yaml
from transformers import AutoTokenizer, BertConfig, BertModel

from recloop.models.bases import resolve_base

REPOSITORY = Path(__file__).resolve().parent.parent
_GIT = {
    f"GIT_{role}_{what}": "test@localhost"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


@dataclass(frozen=True)
class Checkout:
    """A clone in an empty folder, its home, and its source data."""

    folder: Path
    home: Path
    source: Path

    @classmethod
    def make(cls, root: Path) -> "Checkout":
        """The tracked files as they are now, committed, with settings for the small world."""
        checkout = cls(root / "checkout", root / "home", world.write(root / "world"))
        for name in _lines(["git", "ls-files"], REPOSITORY):
            target = checkout.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target)
        path = checkout.folder / "params.yaml"
        params = yaml.safe_load(path.read_text(encoding="utf-8"))
        params["snapshot"]["source"] = {"kind": "csv", "folder": str(checkout.source)}
        params["train"] |= {"epochs": 4, "text_passes": [1], "batch": 16}
        params["train"]["text"]["base"] = str(small_base(root / "base"))
        params["decide"]["retrain"] |= {"min_new_interactions": 100}
        params["decide"]["promotion"] |= {"min_requests": 100}
        path.write_text(yaml.safe_dump(params), encoding="utf-8")
        for command in ("init --quiet", "add --all", "commit --quiet --message start"):
            checkout.run("git", *command.split())
        checkout.run(sys.executable, "-m", "flows.setup")
        return checkout

    @property
    def environment(self) -> dict[str, str]:
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        paths = os.pathsep.join([str(self.folder), str(self.folder / "src")])
        return {
            **os.environ,
            **_GIT,
            "PATH": tools,
            "PYTHONPATH": paths,
            "RECLOOP_HOME": str(self.home),
            "BENTOML_HOME": str(self.home / "bentoml"),
        }

    def start(self, *command: str, output: Path) -> "subprocess.Popen[bytes]":
        """A command in the checkout, in the background."""
        with output.open("wb") as sink:
            return subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=sink, stderr=sink
            )

    def run(self, *command: str, code: int = 0) -> str:
        """A command in the checkout, to its end; what it said."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def small_base(folder: Path) -> Path:
    """A small BERT with random weights in a local folder, as a user's own base model would lie there."""
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    BertModel(BertConfig(**shape, intermediate_size=64)).save_pretrained(folder)
    AutoTokenizer.from_pretrained(resolve_base("minilm")).save_pretrained(folder)
    return folder


def _lines(command: list[str], cwd: Path) -> list[str]:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()
