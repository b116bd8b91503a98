"""Damaged files, two hundred for most that reads files of others: each is read, or refused in one line.

`scripts/fuzz.py --minutes 30` is the same for as long as one likes. A case that fails here is made again by
`python scripts/fuzz.py --reader NAME --seed NUMBER --cases 1`, which keeps its files.
"""

import collections
import io
import json
import random
import signal
import subprocess
import sys
import time
import zipfile

import fuzz
import numpy as np
import pytest

pytest.importorskip("resource", reason="what a process takes is asked of Unix")
from fuzzing import mutations, trying
from fuzzing.readers import READERS, Reader

from slim_models.mistakes import BadValue, UnknownName


@pytest.fixture(scope="module")
def tried_apart(tmp_path_factory):
    """What came of the cases that libraries of C read, all in one process: its start takes longer than they do."""
    found = collections.defaultdict(list)
    plan = [(name, range(reader.cases)) for name, reader in READERS.items() if reader.apart]
    for case in trying.apart(plan, tmp_path_factory.mktemp("fuzz") / "files"):
        found[case.reader].append(case)
    return found


@pytest.mark.parametrize("name", READERS)
def test_damage_is_refused_in_one_line_or_does_not_matter(name, request, tmp_path):
    numbers = range(READERS[name].cases)
    if READERS[name].apart:
        seen = request.getfixturevalue("tried_apart")[name]
    else:
        seen = list(trying.in_process(name, numbers, tmp_path))
    faults = [f"{case.reader} {case.number}: {case.outcome}: {case.text}" for case in seen if case.is_fault]
    assert not faults, "\n".join(faults)
    assert [case.number for case in seen] == list(numbers)
    assert sum(case.outcome == "refused" for case in seen) > len(numbers) // 40


@pytest.mark.parametrize("change", [*mutations.BYTES, *mutations.JSON])
def test_a_change_is_the_same_for_the_same_number_and_another_for_another(change):
    content = b'{"a": [1, 2, {"b": "c"}], "d": "a longer text, to be changed in places"}\n' * 3
    changed = [change(random.Random(number), content) for number in (*range(20), *range(20))]
    assert changed[:20] == changed[20:]
    assert len(set(changed)) > 2


def test_an_archive_with_a_damaged_member_has_right_sums():
    file = io.BytesIO()
    np.savez(file, a=np.arange(50))
    for number in range(20):
        changed = mutations.member(mutations.flip)(random.Random(number), file.getvalue())
        with zipfile.ZipFile(io.BytesIO(changed)) as archive:
            assert archive.testzip() is None
            assert archive.read("a.npy") != zipfile.ZipFile(file).read("a.npy")


class TestWhatIsAFault:
    """A harness that finds nothing would be of no use."""

    def outcome(self, monkeypatch, tmp_path, read, **options):
        def write(folder):
            (folder / "net.txt").write_bytes(b"1234")

        def read_damaged(folder):
            return read(folder / "net.txt") if (folder / ".damaged").is_file() else {"a": 1.0}

        monkeypatch.setitem(READERS, "one", Reader({"net.txt": mutations.BYTES}, write, read_damaged, **options))
        (case,) = trying.in_process("one", range(1), tmp_path)
        return case

    def test_an_exception(self, monkeypatch, tmp_path):
        case = self.outcome(monkeypatch, tmp_path, lambda path: {}["no such key"])
        assert case.is_fault
        assert "KeyError: 'no such key'" in case.text
        assert (tmp_path / "fault-0" / "net.txt").is_file()

    def test_a_refusal_without_the_name_of_the_file(self, monkeypatch, tmp_path):
        def refuse(path):
            raise BadValue("something is damaged")

        assert self.outcome(monkeypatch, tmp_path, refuse).outcome == "a refusal that names no file"

    def test_a_refusal_with_it(self, monkeypatch, tmp_path):
        def refuse(path):
            raise BadValue(f"{path} is damaged")

        assert self.outcome(monkeypatch, tmp_path, refuse).outcome == "refused"

    def test_another_value_where_there_are_sums(self, monkeypatch, tmp_path):
        assert self.outcome(monkeypatch, tmp_path, lambda path: {"a": 2.0}, sums=True).is_fault
        assert self.outcome(monkeypatch, tmp_path / "b", lambda path: {"a": 2.0}).outcome == "read"

    def test_numbers_that_are_none(self, monkeypatch, tmp_path):
        case = self.outcome(monkeypatch, tmp_path, lambda path: {"logits": np.array([np.nan])})
        assert case.outcome == "not finite"

    def test_time(self, monkeypatch, tmp_path):
        def endless(path):
            while True:
                pass

        monkeypatch.setattr(trying, "SECONDS", 0.1)
        assert self.outcome(monkeypatch, tmp_path / "a", lambda path: time.sleep(60)).outcome == "too long"
        assert self.outcome(monkeypatch, tmp_path / "b", endless).outcome == "too long"

    def test_memory(self, monkeypatch, tmp_path):
        monkeypatch.setattr(trying, "MEMORY", -1)
        assert self.outcome(monkeypatch, tmp_path, lambda path: {}).outcome == "too much memory"


class TestScript:
    def test_it_counts_what_came_of_every_case(self, tmp_path, capsys):
        assert fuzz.main(["--reader", "labels", "--cases", "30", "--out", str(tmp_path)]) == 0
        lines = capsys.readouterr().out.splitlines()
        name, read, refused, faults, _ = lines[1].split()
        assert (name, int(read) + int(refused), faults) == ("labels", 30, "0")
        assert lines[2] == "30 cases, 0 faults"
        assert not list(tmp_path.iterdir())

    def test_it_keeps_the_files_of_a_fault(self, tmp_path, monkeypatch, capsys):
        def found(plan, folder):
            (folder / "0" / "fault-7").mkdir(parents=True)
            (folder / "0" / "fault-7" / "net.npy").write_bytes(b"damaged")
            yield trying.Case("npy", 7, "raised", "net.npy: KeyError: 'a'", 0.5)
            yield trying.Case("npy", 8, "read")

        monkeypatch.setattr(trying, "apart", found)
        assert fuzz.main(["--reader", "npy", "--seed", "7", "--cases", "2", "--out", str(tmp_path)]) == 1
        assert (tmp_path / "npy-7" / "net.npy").read_bytes() == b"damaged"
        assert "KeyError: 'a'" in (tmp_path / "npy-7" / "FAULT.txt").read_text()
        assert capsys.readouterr().out.splitlines()[-1] == "2 cases, 1 faults"

    def test_a_reader_that_there_is_not(self):
        with pytest.raises(UnknownName, match="no reader 'tarot'; the readers are npy, "):
            fuzz.main(["--reader", "tarot"])


def test_a_process_that_ends_is_a_fault_and_another_goes_on(tmp_path, monkeypatch):
    """Two processes, the first of which dies in its second case."""
    begun = []
    told = ["npy 0", "npy 0 read", "npy 1"], ["npy 2", "npy 2 refused", "npz 0", "npz 0 read"]

    def line(words):
        reader, number, *outcome = words.split()
        return json.dumps({"reader": reader, "number": int(number), **({"outcome": outcome[0]} if outcome else {})})

    def start(command, **options):
        begun.append(json.loads(command[-1]))
        code = "import os, sys; print(sys.argv[1], flush=True); int(sys.argv[2]) and os.abort()"
        text = "\n".join(map(line, told[len(begun) - 1]))
        return started([sys.executable, "-c", code, text, str(int(len(begun) == 1))], **options)

    started = subprocess.Popen
    monkeypatch.setattr(trying.subprocess, "Popen", start)
    seen = list(trying.apart([("npy", range(3)), ("npz", range(1)), ("npz", range(0))], tmp_path / "files"))
    ended = "ended the process"
    assert [(case.reader, case.number, case.outcome) for case in seen] == [
        ("npy", 0, "read"),
        ("npy", 1, ended),
        ("npy", 2, "refused"),
        ("npz", 0, "read"),
    ]
    assert f"{-signal.SIGABRT}: " in seen[1].text
    assert begun == [[["npy", 0, 3], ["npz", 0, 1]], [["npy", 2, 3], ["npz", 0, 1]]]
