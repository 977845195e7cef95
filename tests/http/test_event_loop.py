"""The event loop in a thread of its own."""

import threading

from peerbus.http.event_loop import Loop


def test_a_closed_loop_calls_nothing_whichever_thread_asks() -> None:
    loop = Loop("loop")
    loop.close()
    called: list[str] = []
    accepted: list[bool] = []

    def ask() -> None:
        accepted.append(loop.here)
        accepted.append(loop.call(called.append, "now"))
        accepted.append(loop.call_soon(called.append, "soon"))

    thread = threading.Thread(target=ask)  # the system is likely to give it the identity of the loop's own
    thread.start()
    thread.join()
    assert (accepted, called) == ([False] * 3, [])
