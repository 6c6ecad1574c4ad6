"""Who computes next: whoever has waited longest."""

import threading
import time

from recloop.serving.turn import Line


def test_first_come_first_served_before_who_has_just_let_go() -> None:
    line, served, threads = Line(), list[str](), list[threading.Thread]()

    def wait(name: str) -> None:
        assert line.acquire(60)
        served.append(name)
        line.release()

    assert line.acquire(0)
    for place, name in enumerate("abc"):
        threads.append(threading.Thread(target=wait, args=(name,)))
        threads[-1].start()
        while len(line) == place:
            time.sleep(0)
    line.release()
    assert line.acquire(60)
    served.append("again")
    for thread in threads:
        thread.join()
    assert served == ["a", "b", "c", "again"]


def test_who_has_waited_long_enough_leaves_the_line() -> None:
    line = Line()
    assert line.acquire(0)
    assert not line.acquire(0.01)
    assert len(line) == 0
    line.release()
    assert line.acquire(0)
