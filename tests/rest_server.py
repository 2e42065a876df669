"""A minimal stand-in for TensorFlow Serving's REST predict: columns in, columns out, errors as JSON."""

import base64
import contextlib
import http.server
import json
import threading
from collections.abc import Iterator, Mapping, Sequence

from components.serving_clients import Client, Refused


@contextlib.contextmanager
def rest_server(
    client: Client, model_name: str = "siglip", outputs: Mapping[str, Sequence[str]] | None = None
) -> Iterator[str]:
    """Serves the client's model; yields the URL. Its metadata names the outputs of the signatures in `outputs`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path != f"/v1/models/{model_name}:predict":
                self._answer(404, {"error": f"Servable not found for request: {self.path}"})
                return
            inputs = {name: [_decode(value) for value in values] for name, values in body["inputs"].items()}
            try:
                answered = client.predict(body.get("signature_name", "serving_default"), inputs)
            except Refused as error:
                self._answer(400, {"error": f"assertion failed: [{error}]"})
                return
            named = {name: value.tolist() for name, value in answered.items()}
            self._answer(200, {"outputs": named if len(named) > 1 else next(iter(named.values()))})

        def do_GET(self) -> None:
            named = {name: {"outputs": {key: {} for key in some}} for name, some in (outputs or {}).items()}
            self._answer(200, {"metadata": {"signature_def": {"signature_def": named}}})

        def _answer(self, status: int, content: dict) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _decode(value: str | dict[str, str]) -> bytes:
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value.encode()
