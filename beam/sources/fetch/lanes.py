"""Processes items in threads, and keeps limits for each host."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import AbstractContextManager
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Connection = TypeVar("Connection")


def in_threads(
    items: Iterable[tuple[str, Item]],
    connect: Callable[[], AbstractContextManager[Connection]],
    work: Callable[[Connection, Item], Result],
    threads: int,
    host_connections: int,
    host_pause: float,
) -> Iterator[Result]:
    """Processes (host, item) pairs in threads, and yields each result as soon as it is ready.

    Memory stays bounded: threads wait if the caller does not take their results.

    Args:
      items: (host, item) pairs.
      connect: makes what the items of one host that are processed one after the other share.
      work: makes the result of an item.
      threads: number of threads.
      host_connections: largest number of items of one host that are processed at a time.
      host_pause: pause between two items on one connection to a host (seconds).
    """
    lanes: dict[tuple[str, int], list[Item]] = {}
    seen: dict[str, int] = {}
    for host, item in items:
        number = seen[host] = seen.get(host, -1) + 1
        lanes.setdefault((host, number % host_connections), []).append(item)
    results: queue.Queue[Result] = queue.Queue(maxsize=4 * threads)
    stop = threading.Event()

    def run(lane: list[Item]) -> None:
        with connect() as connection:
            for number, item in enumerate(lane):
                if number and host_pause:
                    stop.wait(host_pause)
                if stop.is_set():
                    return
                _put(results, work(connection, item), stop)

    count = sum(map(len, lanes.values()))
    with futures.ThreadPoolExecutor(threads) as pool:
        running = {pool.submit(run, lane) for lane in lanes.values()}
        try:
            while count:
                try:
                    yield results.get(timeout=0.5)
                    count -= 1
                except queue.Empty:
                    _raise_failed(running)
        finally:
            stop.set()


def _put(results: "queue.Queue[Any]", result: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            results.put(result, timeout=0.5)
            return
        except queue.Full:
            continue


def _raise_failed(running: set["futures.Future[None]"]) -> None:
    for one in running:
        if one.done():
            one.result()
