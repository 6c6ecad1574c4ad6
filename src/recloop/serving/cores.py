"""A core for each worker, where there are as many: an answer passes between two threads.

The scheduler puts the thread that is woken on whatever core is idle, where it finds nothing in the cache:
kept together, both take about a fifth less of the processor under load, and an answer comes in half the
time (docs/log.md).
"""

import os


def keep_to_one_core(worker: int | None, workers: int) -> None:
    """Keep this thread, and those that it will start, to the core of worker number `worker`, from 1.

    With more or fewer workers than cores, where others may need the room, all stays as it is; also where
    the system cannot do it.
    """
    if worker is None or not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    if workers == len(cores):
        os.sched_setaffinity(0, {cores[(worker - 1) % workers]})
