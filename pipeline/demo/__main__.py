"""Serves the page: `python -m pipeline.demo --model_dir output/quickstart/serving --images FOLDER`.

Functions import what is slow to load, so that the command checks its flags first.
"""

import logging
import os
import socket
import sys
import time
from typing import TYPE_CHECKING

from absl import app, flags

from pipeline.console import progress
from pipeline.publishing import versions

if TYPE_CHECKING:
    from beam.filters.pictures import PictureRules
    from pipeline.demo.index import Index
    from pipeline.demo.model import Model
    from pipeline.demo.pictures import Source

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "A SavedModel, or a folder of numbered versions (the newest counts)."
)
_IMAGES = flags.DEFINE_string("images", None, "A folder of pictures to search.")
_EXAMPLES = flags.DEFINE_string("examples", None, "A folder of stored shards to search, such as .../Split-test.")
_INDEX_DIR = flags.DEFINE_string("index_dir", None, "Keep the index here for the next start; else it is in memory.")
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen at; 0.0.0.0 lets the whole network in.")
_PORT = flags.DEFINE_integer("port", 8000, "Port to listen at; 0 takes a free one.", 0, 65535)
_MEGABYTES = flags.DEFINE_integer("max_megabytes", 20, "Largest picture, as a file.", 1)
_MEGAPIXELS = flags.DEFINE_integer("max_megapixels", 50, "Largest picture, width x height.", 1)


def main(argv: list[str]) -> None:
    """Loads the model, indexes what is to be searched, and serves until Ctrl-C."""
    if len(argv) > 1:
        raise app.UsageError(f"unknown argument {argv[1]!r}; flags start with --")
    if _IMAGES.value and _EXAMPLES.value:
        raise app.UsageError("--images and --examples are two things to search; name one")
    if _INDEX_DIR.value and not (_IMAGES.value or _EXAMPLES.value):
        raise app.UsageError("--index_dir keeps an index; name what to search by --images or --examples")
    try:
        saved_model = versions.newest(_MODEL_DIR.value)
        with _listen(_HOST.value, _PORT.value) as listening:
            _serve(saved_model, listening)
    except ValueError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("\nStopped")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ValueError(
            f"--host={host} --port={port} cannot be listened at ({reason}); name another, or --port=0"
        ) from error


def _serve(saved_model: str, listening: socket.socket) -> None:
    progress.quiet_terminal()
    print("Loading TensorFlow and the model", flush=True)
    try:
        from pipeline.demo import app as page
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing, which the page needs: pip install flask faiss-cpu") from error
    from werkzeug.serving import make_server

    from beam.filters.pictures import PictureRules
    from pipeline.demo.model import Model

    source = _source()
    model = Model(saved_model)
    rules = PictureRules(min_side=1, max_bytes=_MEGABYTES.value * 10**6, max_pixels=_MEGAPIXELS.value * 10**6)
    index = _index(source, saved_model, model, rules) if source else None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = listening.getsockname()[1]
    wsgi = page.create(model, saved_model, index, rules, _HOST.value)
    server = make_server(_HOST.value, port, wsgi, threaded=True, fd=listening.fileno())
    print(f"{saved_model} is at {_address(_HOST.value, port)} (Ctrl-C stops it)", flush=True)
    server.serve_forever()
    print("\nStopped")


def _address(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):
        return f"http://127.0.0.1:{port}, and open to the network at the other addresses of this machine"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _source() -> "Source | None":
    from pipeline.demo import pictures

    if _INDEX_DIR.value:
        progress.require_writable(_INDEX_DIR.value, "index_dir")
    if _IMAGES.value:
        return pictures.Folder(_IMAGES.value)
    return pictures.Examples(_EXAMPLES.value) if _EXAMPLES.value else None


def _index(source: "Source", saved_model: str, model: "Model", rules: "PictureRules") -> "Index":
    """The index that is kept, where it is of the same files; else a new one."""
    from pipeline.demo import index

    folder, made_of = _INDEX_DIR.value, index.fingerprint(source, saved_model, rules)
    if folder and (kept := index.Index.load(folder, made_of)):
        print(f"Taken from {folder}: {len(kept):,} pictures of {source.path}", flush=True)
        return kept
    start = time.monotonic()
    built, problems = index.build(source, model, rules)
    print(f"Indexed {len(built):,} pictures of {source.path} in {time.monotonic() - start:.0f} s", flush=True)
    more = [f"{len(problems) - 3:,} more"] if len(problems) > 3 else []
    for problem in [*problems[:3], *more]:
        print(f"  left out: {problem}", flush=True)
    if folder:
        built.save(folder, made_of)
        print(f"Kept in {os.path.join(folder, index.INDEX_FILE)}", flush=True)
    return built


def console() -> None:
    """Entry of the console script."""
    flags.mark_flag_as_required("model_dir")
    app.run(main)


if __name__ == "__main__":
    console()
