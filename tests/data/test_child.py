"""Whatever a process that reads foreign files does, it costs one answer."""

import time

import pytest

from mainstem.data.child import Child, ChildEndedError, child_of

MODULE = "tests.data.child_answers"


def test_what_ends_it_is_told_and_the_next_answers():
    child = Child(MODULE, 1000)
    first, threads = child.ask({"do": "print"}, 60, 2)
    assert (threads, child.ask({"do": ""}, 60, 2)[0]) == (b"1", first)
    for do, why in (
        ("abort", "signal 6"),
        ("leave", "exit 3"),
        ("flood", "too large an answer"),
        ("hang", "out of time"),
    ):
        process, begin = child.process, time.monotonic()
        with pytest.raises(ChildEndedError, match=f"^{why}$"):
            child.ask({"do": do}, 0.2 if do == "hang" else 60, 2)
        assert process.poll() is not None
        assert time.monotonic() - begin < 50
        assert child.ask({"do": ""}, 60, 2)[0] == str(child.process.pid).encode() != first
    last = child.process
    child.stop()
    assert last.poll() is not None


def test_there_is_one_of_a_module():
    assert child_of(Child, MODULE, 1000) is child_of(Child, MODULE, 1000)
    assert child_of(Child, MODULE, 1000).process is None
