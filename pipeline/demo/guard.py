"""What the page refuses: names that other sites made lead here, and forms that other sites send.

A browser lets any site send a form to 127.0.0.1. A site whose own name is made to lead to 127.0.0.1 (DNS rebinding)
could also read the answer; the browser then says that name in Host. An address in Host cannot be rebound.
"""

import ipaddress
from collections.abc import Container
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import Forbidden, MisdirectedRequest

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send the page's own forms with "Origin: null"
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def protect(app: flask.Flask, own_name: str) -> None:
    """Makes the app refuse foreign requests, and send headers that keep its pages to themselves.

    Args:
      app: gets the hooks.
      own_name: the host that it was told to listen at; allowed in Host, as localhost and all addresses are.
    """
    app.before_request(lambda: _refuse_foreign(flask.request, {"localhost", own_name.lower()}))

    @app.after_request
    def add_headers(response: flask.Response) -> flask.Response:
        response.headers.update(_HEADERS)
        return response


def _refuse_foreign(request: flask.Request, names: Container[str]) -> None:
    host = request.headers.get("Host", "").lower()
    name = _hostname(host)
    if name not in names and not _is_address(name):
        raise MisdirectedRequest(
            f"This page does not answer to {host!r}. Open it by the address that its start printed."
        )
    origin = request.headers.get("Origin")
    foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    if request.method == "POST" and (origin.lower().partition("://")[2] != host if origin else foreign):
        raise Forbidden("Another site sent this form, and nothing was done. Open this page by itself, and ask there.")


def _hostname(host: str) -> str:
    """A Host header without its port; "" where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
