"""CPU affinity of the threads of a worker."""

import json
import os
import subprocess
import sys

import pytest

if not hasattr(os, "sched_setaffinity"):
    pytest.skip("the system keeps no thread to a core", allow_module_level=True)
# In a process of its own: the cores before, and those of a thread that is started afterwards.
KEPT = """
import json, os, sys, threading
from recloop.serving.cpu_affinity import keep_to_one_core
cores, worker, workers = json.loads(sys.argv[1])
os.sched_setaffinity(0, cores)
keep_to_one_core(worker, workers)
found = []
thread = threading.Thread(target=lambda: found.append(sorted(os.sched_getaffinity(0))))
thread.start()
thread.join()
print(json.dumps([sorted(os.sched_getaffinity(0)), found[0]]))
"""
CORES = sorted(os.sched_getaffinity(0))


def kept(cores: list[int], worker: int | None, workers: int) -> list[list[int]]:
    command = [sys.executable, "-c", KEPT, json.dumps([cores, worker, workers])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_with_as_many_workers_as_cores_each_has_one() -> None:
    for worker, core in enumerate(CORES, start=1):
        assert kept(CORES, worker, len(CORES)) == [[core], [core]]


def test_a_replacement_worker_gets_a_core() -> None:
    assert kept(CORES, len(CORES) + 1, len(CORES)) == [[CORES[0]], [CORES[0]]]


@pytest.mark.parametrize(("worker", "workers"), [(1, len(CORES) + 1), (None, len(CORES))])
def test_otherwise_the_affinity_is_unchanged(worker: int | None, workers: int) -> None:
    assert kept(CORES, worker, workers) == [CORES, CORES]
