"""The executor of a Ray cluster, whose workers may be on many machines."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType, TracebackType
from typing import Any, TypeVar

from halo_engine.errors import ConfigError, EngineError
from halo_engine.executors.base import Begun
from halo_engine.executors.workers import (
    DONE_HERE,
    ITEMS_OF_WORKER,
    OnDeath,
    Workers,
    result_or_again,
    results_by,
)

T = TypeVar("T")
R = TypeVar("R")

DISTRIBUTION = "halo-integrations"
CONNECT_SECONDS = 5.0
# The least that Ray takes for the items and results of a cluster of its own.
OBJECT_STORE_BYTES = 80_000_000


class RayCluster:
    """An executor of the cluster at ``address``; None: of one on this machine, for ``workers``.

    It is connected to when there are more items than are worked on here, until this process ends.
    Where this process is connected to a cluster already, that is used. ``on_death`` is called with a
    sentence when a worker has died and its item is tried again. Raises ``ConfigError`` without the
    package ray.
    """

    shares_disk = False

    def __init__(self, workers: int, address: str | None, on_death: OnDeath) -> None:
        if find_spec("ray") is None:
            raise ConfigError(
                "The executor ray needs the package ray: pip install 'halo-integrations[ray]'"
            )
        self._workers = workers
        self._address = address
        self._on_death = on_death

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See ``Executor``.

        Raises ``ConfigError`` for an address that is none, ``EngineError`` for a cluster that cannot
        be reached or fails, and for an item with which two workers died.
        """
        tasks = RayTasks(lambda: connected_ray(self._address, self._workers), self._on_death)
        yield from results_by(tasks, function, items)


class RayTasks(Workers):
    """Tasks of the cluster that ``connect`` connects to, those that are left cancelled in the end."""

    def __init__(self, connect: Callable[[], ModuleType], on_death: OnDeath) -> None:
        self._connect = connect
        self._on_death = on_death
        self._most = DONE_HERE + 1
        self._begun: set[Any] = set()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for task in self._begun:
            # of a cluster that is lost nothing is left to cancel
            with suppress(self._ray.exceptions.RayError, ConnectionError):
                self._ray.cancel(task, force=True)

    def most(self) -> int:
        """See ``Workers``; as many as the cluster has room for, once it is connected to."""
        return self._most

    def begin(self, function: Callable[[T], R], item: T) -> Begun[R]:
        """See ``Workers``."""
        task = self._submit(function, item)

        return Begun(
            lambda: self._has_ended(task),
            lambda: result_or_again(
                lambda: self._result(task),
                lambda: self._result(self._submit(function, item)),
                self._deaths,
                item,
                self._on_death,
            ),
            lambda: False,  # a cluster that somebody asked for
        )

    @cached_property
    def _ray(self) -> ModuleType:
        """The package, connected."""
        return self._connect()

    @cached_property
    def _applied(self) -> Any:
        """``function_of`` as a task that Ray does not try again by itself, so that it is told."""
        return self._ray.remote(num_cpus=1, max_retries=0)(function_of)

    @cached_property
    def _deaths(self) -> tuple[type[Exception], ...]:
        """The errors by which Ray says that a worker, or what it had done, is gone."""
        named = self._ray.exceptions
        return (
            named.WorkerCrashedError,
            named.NodeDiedError,
            named.OutOfMemoryError,
            named.ObjectLostError,
        )

    def _submit(self, function: Callable[[T], R], item: T) -> Any:
        with self._told_errors():
            task = self._applied.remote(version(DISTRIBUTION), function, item)
            self._begun.add(task)
            workers = int(self._ray.cluster_resources().get("CPU", 1))
        self._most = max(DONE_HERE + 1, workers * ITEMS_OF_WORKER)
        return task

    def _has_ended(self, task: Any) -> bool:
        with self._told_errors():
            return bool(self._ray.wait([task], timeout=0)[0])

    def _result(self, task: Any) -> Any:
        """The result of ``task``; raises what it raised there."""
        try:
            with self._told_errors():
                return self._ray.get(task)
        finally:
            self._begun.discard(task)

    @contextmanager
    def _told_errors(self) -> Iterator[None]:
        """Raise what a task raised as it is, deaths as Ray does, and the rest as ``EngineError``."""
        errors = self._ray.exceptions
        try:
            yield
        except self._deaths:
            raise
        except (errors.RayError, ConnectionError) as error:
            cause = getattr(error, "cause", None)
            if cause and not isinstance(cause, errors.RayError):
                raise cause from None
            raise EngineError(
                f"The Ray cluster failed: {first_line(cause or error)}. Each of its machines needs "
                f"{DISTRIBUTION} {version(DISTRIBUTION)} and the same plugins."
            ) from error


def connected_ray(address: str | None, workers: int) -> ModuleType:
    """The package ray, connected to the cluster at ``address``, or to one that it starts here."""
    import ray

    if ray.is_initialized():
        return ray
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        with sigterm_kept():
            if address is None:
                os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
                with interrupts_afterwards():
                    ray.init("local", num_cpus=workers, **own, **quiet)
            else:
                require_listener(address)
                ray.init(address, **quiet)
    except ValueError as error:
        raise ConfigError(f"{address!r} is no address of a Ray cluster: {error}.") from error
    except (OSError, RuntimeError) as error:
        where = "on this machine" if address is None else f"at {address}"
        raise EngineError(
            f"The Ray cluster {where} cannot be used: {first_line(error)}. --ray-address takes that "
            "of its head, HOST:6379, or from outside of the cluster ray://HOST:10001."
        ) from error
    return ray


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Have after the block the handler of SIGTERM of before, in place of that which Ray sets.

    Where there was none, that of Ray stays: it ends what Ray started.
    """
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def interrupts_afterwards() -> Iterator[None]:
    """Raise what Ctrl-C within the block raises at its end.

    A Ray that is interrupted while it starts leaves processes behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        for number in noted[:1]:
            signal.raise_signal(number)


def first_line(error: BaseException) -> str:
    """What ``error`` says, without a traceback of another process."""
    return str(error).split("\n", 1)[0].rstrip(".")


def require_listener(address: str) -> None:
    """Raise ``OSError`` if nothing answers at ``address``: Ray itself waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def function_of(there: str, function: Callable[[T], R], item: T) -> R:
    """``function`` of ``item``, in a worker; ``there`` is the version of what asks for it."""
    if (here := version(DISTRIBUTION)) != there:
        raise EngineError(
            f"A machine of the Ray cluster has version {here} of {DISTRIBUTION}, this one {there}: "
            "install one version on all."
        )
    return function(item)
