"""Stages that overlap: shown by events that only meet if they do, never by the clock."""

import concurrent.futures
import threading
import time

import pytest

from gradcam.pipeline import Room, ahead, portions

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
    before = set(threading.enumerate())
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
    assert len(set(threading.enumerate()) - before) <= 1  # the timer's


def test_results_are_not_held_once_the_caller_has_let_them_go():
    import weakref

    class Large:
        pass

    with ahead(lambda _: Large(), range(3)) as results:
        held = weakref.ref(next(results))
        assert held() is None


def test_portions_are_of_so_many_and_weigh_no_more():
    weights = [1, 1, 1, 1, 5, 1, 9, 1, 4, 1]
    found = list(portions(range(10), 3, weights.__getitem__, 5))
    assert found == [([0, 1, 2], 3), ([3], 1), ([4], 5), ([5], 1), ([6], 9), ([7, 8], 5), ([9], 1)]
    assert list(portions([], 3, len, 5)) == []


def test_items_are_weighed_when_their_turn_comes():
    weighed = []
    found = portions(range(9), 2, lambda item: weighed.append(item) or 0, 5)
    assert next(found) == ([0, 1], 0)
    assert weighed == [0, 1, 2]


def test_who_finds_no_room_waits_until_it_is_given_back():
    room, first, second = Room(10), threading.Event(), threading.Event()
    room.take(30)  # more than there is, with nobody there

    def come():
        room.take(4)
        first.set()
        room.take(7)
        second.set()

    with concurrent.futures.ThreadPoolExecutor(1) as pool, room:
        pool.submit(come)
        assert not first.wait(0.02)
        room.give(30)
        assert first.wait(LONG)
        assert not second.wait(0.02)  # 4 are held, and 7 more are too many
        room.give(4)
        assert second.wait(LONG)


@pytest.mark.parametrize("late", [True, False])
def test_nobody_waits_for_room_once_the_context_is_left(late):
    """Those who wait then, and those who come afterwards."""
    before = set(threading.enumerate())
    room, waiting = Room(10), threading.Event()

    def read(number):
        if number:
            waiting.set()
        if late and number:
            time.sleep(0.05)
        room.take(8)
        return number

    with pytest.raises(KeyboardInterrupt), ahead(read, range(5)) as numbers, room:
        assert next(numbers) == 0
        assert waiting.wait(LONG)
        raise KeyboardInterrupt
    assert set(threading.enumerate()) <= before
