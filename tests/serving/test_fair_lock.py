"""The fair lock is acquired in the order of arrival."""

import threading
from functools import partial

from recloop.serving.execution.fair_lock import FairLock
from tests.support.waiting import until


def test_waiting_threads_come_before_the_thread_that_released_the_lock() -> None:
    lock, served, threads = FairLock(), list[str](), list[threading.Thread]()

    def queue_has(waiting: int) -> bool:
        return len(lock) == waiting

    def wait(name: str) -> None:
        assert lock.acquire(60)
        served.append(name)
        lock.release()

    assert lock.acquire(0)
    for waiting, name in enumerate("abc", start=1):
        threads.append(threading.Thread(target=wait, args=(name,)))
        threads[-1].start()
        until(partial(queue_has, waiting))
    lock.release()
    assert lock.acquire(60)
    served.append("again")
    for thread in threads:
        thread.join()
    assert served == ["a", "b", "c", "again"]


def test_a_thread_stops_waiting_after_its_time() -> None:
    lock = FairLock()
    assert lock.acquire(0)
    assert not lock.acquire(0.01)
    assert len(lock) == 0
    lock.release()
    assert lock.acquire(0)
