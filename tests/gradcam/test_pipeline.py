"""Stages that overlap: shown by events that only meet if they do, never by the clock."""

import threading

import pytest

from gradcam.pipeline import ahead

LONG = 30  # seconds after which an event that should have come is given up


class Watched:
    """A function that tells which calls began."""

    def __init__(self, count):
        self.begun = [threading.Event() for _ in range(count)]

    def __call__(self, number):
        self.begun[number].set()
        return number * number


def test_results_come_in_the_order_of_the_items():
    with ahead(lambda number: number * number, range(20)) as results:
        assert list(results) == [number * number for number in range(20)]
    with ahead(str, []) as results:
        assert list(results) == []


def test_the_next_is_computed_while_the_caller_works_on_one_and_no_more_than_that():
    watched = Watched(10)
    with ahead(watched, range(10)) as results:
        for number, result in enumerate(results):
            assert result == number**2
            last = min(number + 1, 9)
            assert watched.begun[last].wait(LONG)
            assert last == 9 or not watched.begun[last + 1].wait(0.02)


def test_stages_in_a_row_work_at_the_same_time():
    """The first stage's third item, the second stage's second and the caller's first wait for each other."""
    meeting = threading.Barrier(3)
    threads = []

    def first(number):
        if number == 2:
            meeting.wait(LONG)
        threads.append(threading.current_thread())
        return number

    def second(number):
        if number == 1:
            meeting.wait(LONG)
        return number, threading.current_thread()

    with ahead(first, range(6)) as numbers, ahead(second, numbers) as results:
        for number, thread in results:
            if number == 0:
                meeting.wait(LONG)
            threads.append(thread)
    assert len(set(threads)) == 2
    assert threading.current_thread() not in threads


@pytest.mark.parametrize("part", ["items", "function"])
@pytest.mark.parametrize("stages", [1, 2])
def test_an_error_comes_in_the_place_of_its_result_and_ends_it(part, stages):
    calls = []

    def items():
        yield from range(3)
        if part == "items":
            raise LookupError("the fourth")
        yield from range(3, 10)

    def function(number):
        calls.append(number)
        if number == 3:
            raise LookupError("the fourth")
        return number

    found = []
    with pytest.raises(LookupError, match="the fourth"), ahead(function, items()) as results:
        if stages == 1:
            found.extend(number for number in results if found.append(number))
        else:
            with ahead(lambda number: number, results) as others:
                found.extend(number for number in others if found.append(number))
    assert found == [0, 1, 2]
    assert calls == ([0, 1, 2] if part == "items" else [0, 1, 2, 3])


def test_whoever_leaves_early_waits_for_the_call_under_way_and_begins_no_other():
    before = threading.active_count()
    going_on, ended = threading.Event(), []

    def function(number):
        if number:
            assert going_on.wait(LONG)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt), ahead(function, range(10)) as results:
        for _ in results:
            threading.Timer(0.05, going_on.set).start()
            raise KeyboardInterrupt
    assert ended in ([0], [0, 1])
    assert threading.active_count() <= before + 1  # the timer's


def test_results_are_not_held_once_the_caller_has_let_them_go():
    import weakref

    class Large:
        pass

    with ahead(lambda _: Large(), range(3)) as results:
        held = weakref.ref(next(results))
        assert held() is None
