"""Protects the page from other sites: refuses unknown host names, and forms that other sites send.

A browser lets any site send a form to 127.0.0.1. A site that resolves its own name to 127.0.0.1 (DNS rebinding) could
also read the answer. The browser then sends that name as Host, so unknown names are refused. IP addresses are not
resolved, so they are accepted.
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
    "Referrer-Policy": "same-origin",  # no-referrer would make browsers send the page's own forms with "Origin: null"
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def protect(app: flask.Flask, own_name: str) -> None:
    """Makes the app refuse foreign requests and send headers that isolate its pages from other sites.

    Args:
      app: the application, which gets the hooks.
      own_name: the host that the app listens on; accepted in Host, as localhost and all IP addresses are.
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
            f"This page does not serve the host {host!r}. Open the address that the demo printed at its start."
        )
    origin = request.headers.get("Origin")
    foreign = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    if request.method == "POST" and (origin.lower().partition("://")[2] != host if origin else foreign):
        raise Forbidden("Another site sent this form, so the demo ignored it. Open this page directly and ask here.")


def _hostname(host: str) -> str:
    """Returns the Host header without its port, or "" if it is malformed."""
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
