"""HDF5 files read by forks of one small process, as the project reads each in a process of its own; much faster.

    python -m fuzzing.forked

reads paths, a line each, and answers each in a line of JSON with what a process of its own would have ended with.
"""

import json
import os
import select
import subprocess
import sys


class Forks:
    """Stands for `subprocess` in the module that reads HDF5 files."""

    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self):
        self._process = None

    def run(self, command, timeout, **_):
        """As `subprocess.run`: the last word of the command is the file's path."""
        if self._process is None:
            words = [sys.executable, "-m", "fuzzing.forked"]
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._process.stdin.write(json.dumps([command[-1], timeout]) + "\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        if told["returncode"] is None:
            raise subprocess.TimeoutExpired(command, timeout)
        return subprocess.CompletedProcess(command, **told)


def main():
    from slim_models.weights.hdf5 import read_all

    for line in sys.stdin:
        path, seconds = json.loads(line)
        answer, told = os.pipe()
        child = os.fork()
        if not child:
            os.dup2(told, 1)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            read_all(path)
            os._exit(0)
        os.close(told)
        print(json.dumps(_answer(child, answer, seconds)), flush=True)
        os.close(answer)


def _answer(child, answer, seconds):
    """What a fork said and ended with; None if it did not end."""
    ready, _, _ = select.select([answer], [], [], seconds)  # it says something, or ends
    said = os.read(answer, 65536) if ready else b""
    if not ready:
        os.kill(child, 9)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {"returncode": code if ready else None, "stdout": said.decode("utf-8", "replace"), "stderr": ""}


if __name__ == "__main__":
    main()
