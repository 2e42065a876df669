"""The deadline of an attempt holds over all its parts. Nothing leaves the loopback addresses."""

import itertools
import socket
import threading
import time

import pytest

from beam.sources.fetch.errors import FetchError
from tests.beam.sources.hostile_server import OK, PUBLIC, answer_of, fetch


def _slow_headers(server, opened):
    server.drip(opened, itertools.chain([OK], (b"X" for _ in itertools.count())), pause=0.05)


def _endless_headers(server, opened):
    server.drip(opened, itertools.chain([OK], (b"X-%d: y\r\n" % n for n in itertools.count())))


def _slow_lines(server, opened):
    server.drip(opened, itertools.chain([OK], (b"X-%d: y\r\n" % n for n in itertools.count())), pause=0.05)


def _endless_continue(server, opened):
    server.drip(opened, itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), pause=0.01)


def _fast_continue(server, opened):
    server.drip(opened, itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000))


def _endless_hints(server, opened):
    server.drip(opened, itertools.repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"), pause=0.01)


def _slow_body(server, opened):
    server.drip(opened, itertools.chain([OK + b"Content-Length: 90000\r\n\r\n"], itertools.repeat(b".")), pause=0.05)


def _slow_chunks(server, opened):
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    server.drip(opened, itertools.chain([head], itertools.repeat(b"1\r\n.\r\n")), pause=0.05)


def _slow_trailers(server, opened):
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\n.\r\n0\r\n"
    server.drip(opened, itertools.chain([head], (b"X: y\r\n" for _ in itertools.count())), pause=0.05)


def _endless_extension(server, opened):
    head = OK + b"Transfer-Encoding: chunked\r\n\r\n1"
    server.drip(opened, itertools.chain([head], itertools.repeat(b";x" * (1 << 12))), pause=0.01)


def _silence(server, opened):
    time.sleep(3)


def _slow_redirect(server, opened):
    time.sleep(0.4)
    opened.sendall(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")


SLOW = [
    _slow_headers, _endless_headers, _slow_lines, _endless_continue, _fast_continue, _endless_hints, _slow_body,
    _slow_chunks, _slow_trailers, _endless_extension, _silence, _slow_redirect,
]  # fmt: skip


@pytest.mark.parametrize("slow", SLOW)
def test_deadline_bounds_every_part_of_an_answer(server, slow):
    error = answer_of(server, lambda opened: slow(server, opened))
    assert isinstance(error, FetchError)
    assert error.reason == "fetch_failed"
    if slow not in (_endless_headers,):  # too many headers are refused before the deadline
        assert "not whole after 1.0 s" in error.detail


def test_deadline_bounds_the_lookup_of_a_name_and_the_process_does_not_wait_for_it():
    before, release = set(threading.enumerate()), threading.Event()
    error = fetch("http://public.test/", timeout=0.5, lookup=lambda _: release.wait(60))
    assert "not whole after 0.5 s" in error.detail
    left = set(threading.enumerate()) - before
    assert left
    assert all(thread.daemon for thread in left)
    release.set()


def test_lookups_that_hang_leave_room_for_others_in_time(server):
    release, before = threading.Event(), threading.active_count()
    errors = [fetch("http://public.test/", timeout=0.02, lookup=lambda _: release.wait(60)) for _ in range(100)]
    assert all("not whole" in error.detail for error in errors)
    assert threading.active_count() < before + 80  # 64 lookups at a time
    release.set()
    assert fetch(server.url("public.test")) == b"picture"


def test_deadline_bounds_the_connection(server):
    full = socket.socket()  # its queue is full, so that the connection gets no answer
    full.bind((PUBLIC, 0))
    full.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for one in waiting:
        one.setblocking(False)
        one.connect_ex(full.getsockname())
    try:
        error = fetch(f"http://public.test:{full.getsockname()[1]}/", timeout=0.5)
        assert "not whole after 0.5 s" in error.detail
    finally:
        for one in (full, *waiting):
            one.close()
