"""The program's side of a cluster: a connection to a Dask scheduler, and the parts of a run in their order."""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import dataclasses
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gradcam.cluster.working import Done, Job, work_on
from slim_models.mistakes import BadValue, MissingPackage, Unreachable

if TYPE_CHECKING:
    import distributed

Say = Callable[[str], object]
_ANSWER, _WAIT = 15, 60  # seconds for the scheduler, and then for the first worker
_PATIENCE = 5  # seconds without a result after which it is looked whether there are workers
_AHEAD = 2  # parts that are asked for at a time, for each thread of the workers
_OTHERWISE = {  # than Dask's own settings, of the workers that are started here
    "distributed.worker.profile.enabled": False,  # it takes a tenth of a worker's time
    # By it the memory of each layer goes back to the system, and is asked for again: a quarter of a worker's time.
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None,
}


@dataclasses.dataclass(eq=False)
class Cluster:
    """The workers of a scheduler.

    Attributes:
        client: Dask's.
        address: of the scheduler.
        say: is told what becomes of workers.
    """

    client: distributed.Client
    address: str
    say: Say

    @contextlib.contextmanager
    def results(
        self, job: Job, parts: Iterable[Any], failure: Callable[[Any], Exception | None] = lambda result: None
    ) -> Iterator[Iterator[Any]]:
        """What the workers make of parts, in the order of the parts, each when it is asked for.

        There are never more parts under way than two for each thread of the workers, however many there are and
        whatever the workers do; what workers that are lost were at is done by others. A part that fails on a worker,
        as of a picture that is damaged there alone, is tried once on another, which is said.

        Args:
            job: what is done with each.
            parts: taken when workers are free.
            failure: what failed within a result, if something did: then the part is tried on another worker too.

        Raises:
            ValueError: a part fails wherever it is tried, kills its workers, or a worker's network or versions are
                others than this program's.
            OSError: the scheduler is gone.
        """
        waiting: collections.deque[tuple[Any, distributed.Future]] = collections.deque()
        try:
            yield self._in_order(job, iter(parts), waiting, failure)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self.client.cancel([future for _, future in waiting])

    def _in_order(
        self, job: Job, parts: Iterator[Any], waiting: collections.deque[Any], failure: Callable[[Any], Any]
    ) -> Iterator[Any]:
        told: set[str] = set()
        while True:
            for part in parts:
                waiting.append((part, self._submitted(job, part)))
                if len(waiting) >= max(2, _AHEAD * sum(self._workers().values())):
                    break
            if not waiting:
                return
            part, future = waiting[0]
            worker, done = self._done(future)
            if done.error is not None or failure(done.result) is not None:
                worker, done = self._again(job, part, worker, done, failure)
            waiting.popleft()
            other = done.versions["tensorflow"]
            if other not in (job.made["versions"]["tensorflow"], *told):
                told.add(other)
                self.say(f"worker {worker} has TensorFlow {other}: its numbers differ in their last digits")
            yield done.result

    def _submitted(self, job: Job, part: Any, **options: Any) -> distributed.Future:
        with self._there():
            return self.client.submit(_addressed, job, part, pure=False, **options)

    def _workers(self) -> dict[str, int]:
        """Address -> threads, of the workers that there are."""
        with self._there():
            return dict(self.client.nthreads())

    def _done(self, future: distributed.Future) -> tuple[str, Done]:
        """Which worker was at a part, and what it says; waits for it, and says so when there is none."""
        import distributed

        alone = False
        while True:
            try:
                with self._there():
                    return future.result(timeout=_PATIENCE)
            except (distributed.TimeoutError, TimeoutError):
                if not alone and not self._workers():
                    alone = True
                    self.say(f"no worker is left at {self.address}: waiting for one")
            except distributed.KilledWorker as error:
                raise BadValue(
                    f"some pictures were tried by {error.allowed_failures + 1} workers, and all of them died: most "
                    "likely they need more memory; try a smaller --batch, or larger workers"
                ) from error

    def _again(self, job: Job, part: Any, worker: str, done: Done, failure: Callable[[Any], Any]) -> tuple[str, Done]:
        """A part that failed on a worker on another one, if there is one and it may be the worker's fault."""
        error = f"worker {worker}: {done.error or failure(done.result)}"
        others = [address for address in self._workers() if address != worker]
        if not done.refused and others:
            found, second = self._done(self._submitted(job, part, workers=others))
            if second.error is None and failure(second.result) is None:
                self.say(f"{error}; another worker, {found}, could read it")
            if second.error is None:
                return found, second
            error += f" (and on {found}: {second.error})"
        if done.error is None:
            return worker, done
        raise BadValue(error) from done.error

    @contextlib.contextmanager
    def _there(self) -> Iterator[None]:
        """Tells that the scheduler is gone, whatever Dask raises of it."""
        import distributed

        try:
            yield
        except (distributed.TimeoutError, TimeoutError):
            raise
        except (OSError, concurrent.futures.CancelledError, distributed.client.FutureCancelledError) as error:
            raise Unreachable(f"the scheduler at {self.address} is gone; what is done is kept") from error
        except (ModuleNotFoundError, RuntimeError) as error:
            if "gradcam" in f"{error} {error.__cause__}":
                raise BadValue(f"a worker has not this program: {error.__cause__ or error}") from error
            raise


def _addressed(job: Job, part: Any) -> tuple[str, Done]:
    """On a worker: its address, and what it says."""
    import distributed

    return distributed.get_worker().address, work_on(job, part)


@contextlib.contextmanager
def connected(
    address: str | None = None, workers: int | None = None, *, say: Say | None = None, quiet: bool = True
) -> Iterator[Cluster]:
    """A cluster, as long as the context lasts.

    Args:
        address: of a Dask scheduler that runs, such as `tcp://10.0.0.1:8786`, or the file that `dask scheduler
            --scheduler-file` wrote; None starts workers on this machine.
        workers: how many processes are started here, each with its share of the cores.
        say: is told what becomes of workers; None is silent.
        quiet: keep Dask's own words from the terminal.

    Raises:
        ImportError: Dask is not installed.
        OSError: no scheduler answers, or it has no workers.
        ValueError: neither is said, or both, or there are no workers.
    """
    if (address is None) == (workers is None):
        raise BadValue("give either the address of a scheduler or a number of workers")
    if workers is not None and workers < 1:
        raise BadValue(f"there must be at least 1 worker, not {workers}")
    distributed = _distributed()
    with contextlib.ExitStack() as stack:
        stack.enter_context(_silent(quiet))
        if workers is not None:
            address = stack.enter_context(_local(workers, quiet)).scheduler_address
        yield Cluster(stack.enter_context(_client(distributed, str(address))), str(address), say or (lambda line: None))


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingPackage("this needs Dask: pip install 'gradcam-tf1[cluster]'") from error
    return distributed


@contextlib.contextmanager
def _client(distributed: Any, address: str) -> Iterator[distributed.Client]:
    where = {"scheduler_file": address} if pathlib.Path(address).is_file() else {"address": address}
    try:
        if "address" in where:
            distributed.comm.get_address_host_port(address)  # a client that has begun would wait
        client = distributed.Client(**where, timeout=_ANSWER, set_as_default=False)
    except (OSError, ValueError, distributed.TimeoutError) as error:
        raise Unreachable(f"no Dask scheduler answers at {address}: {_first_line(error)}") from error
    try:
        try:
            client.wait_for_workers(1, timeout=_WAIT)
        except (distributed.TimeoutError, TimeoutError) as error:
            raise Unreachable(f"{address} has no workers: dask worker {address}") from error
        yield client
    finally:
        with contextlib.suppress(Exception):
            client.close(timeout=_PATIENCE)


@contextlib.contextmanager
def _local(workers: int, quiet: bool) -> Iterator[distributed.LocalCluster]:
    """Processes on this machine; a worker that dies is started again."""
    import dask
    import distributed

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores // workers)
    own = {"TF_NUM_INTRAOP_THREADS": str(share), "TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    otherwise = dask.config.set(_OTHERWISE)
    options = {"dashboard_address": "127.0.0.1:0", "silence_logs": logging.CRITICAL if quiet else logging.WARNING}
    with otherwise, contextlib.ExitStack() as stack:
        try:
            cluster = distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                preload=["gradcam.cluster.working"] if quiet else [],
                env={**own, **{name: os.environ[name] for name in own if name in os.environ}},
                **options,
            )
        except RuntimeError as error:
            hint = "a program that starts them does so below `if __name__ == '__main__'`"
            raise BadValue(f"workers cannot be started here: {_first_line(error)} ({hint})") from error
        yield stack.enter_context(cluster)


@contextlib.contextmanager
def _silent(quiet: bool) -> Iterator[None]:
    """Holds back what Dask logs, as of workers that come and go: what matters of it is told in lines of ours."""
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in ("distributed", "tornado")]
    loggers = {logging.getLogger(name): logging.getLogger(name).level for name in names if quiet}
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
