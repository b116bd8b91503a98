"""Locks on files: a process has one as long as it lives, in whatever container, and under whatever number.

`flock` on Linux and macOS, `msvcrt` on Windows: the system takes a lock away from a process that has ended.
"""

from __future__ import annotations

import contextlib
import os
import pathlib

if os.name == "nt":
    import msvcrt
else:
    import fcntl


class Lock:
    """A lock, which at most one holder has; where it has gone the file is gone too.

    Attributes:
        path: of a file that is there for the lock alone, in a folder that is there.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = pathlib.Path(path)
        self._descriptor: int | None = None
        self._process = 0

    def acquire(self, unknown: bool = True) -> bool:
        """Takes the lock, if nobody has it; whether it was to be had.

        Args:
            unknown: the answer where the file system has no locks.
        """
        while True:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
            except PermissionError:
                if os.name != "nt":
                    raise
                return False  # it is there that a file being removed cannot be opened
            locked = _locked(descriptor)
            if locked and not self._is_file_of(descriptor):  # whoever had the lock has just removed it
                os.close(descriptor)
                continue
            if locked is False or (locked is None and not unknown):
                os.close(descriptor)
                return False
            self._descriptor, self._process = descriptor, os.getpid()
            return True

    def release(self) -> None:
        """Gives the lock back, and removes its file; nothing is done if it is not had."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if self._process != os.getpid():  # forked from the one that has the lock, and goes on having it
            os.close(descriptor)
            return
        if os.name == "nt":  # where an open file cannot be removed, and one that another has opened neither
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108 - beside os.open
        if os.name != "nt":
            os.close(descriptor)

    def __del__(self) -> None:
        self.release()

    def _is_file_of(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except FileNotFoundError:
            return False


def _locked(descriptor: int) -> bool | None:
    """Whether the file could be locked; None where files cannot be."""
    try:
        if os.name == "nt":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True
