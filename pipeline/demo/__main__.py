"""Serves the page: `python -m pipeline.demo --model_dir output/quickstart/serving --images FOLDER`."""

import logging
import os
import socket
import time
from typing import TYPE_CHECKING

from absl import app, flags

from pipeline.console import command_line, terminal
from pipeline.publishing import versions

if TYPE_CHECKING:
    from beam.filters.pictures import PictureSettings
    from pipeline.demo.collection import Collection
    from pipeline.demo.index import Index
    from pipeline.demo.model import LoadedModel

_MODEL_DIR = flags.DEFINE_string(
    "model_dir", None, "A SavedModel, or a folder of numbered versions, of which the newest is taken."
)
_IMAGES = flags.DEFINE_string("images", None, "A folder of pictures to search.")
_EXAMPLES = flags.DEFINE_string("examples", None, "A folder of stored shards to search, such as .../Split-test.")
_INDEX_DIR = flags.DEFINE_string("index_dir", None, "Keep the index in this folder for the next start.")
_RERANK = flags.DEFINE_integer("rerank", 0, "Rank so many found pictures again, by the signature match.", 0, 1000)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Address to listen on; 0.0.0.0 opens the page to the network.")
_PORT = flags.DEFINE_integer("port", 8000, "Port to listen on; 0 takes a free port.", 0, 65535)
_MEGABYTES = flags.DEFINE_integer("max_megabytes", 20, "Size limit of a picture file, in MB.", 1)
_MEGAPIXELS = flags.DEFINE_integer("max_megapixels", 50, "Size limit of a picture, in megapixels.", 1)


@command_line.errors_as_lines()
def main(argv: list[str]) -> None:
    """Loads the model, indexes the pictures to search, and serves the page until Ctrl-C."""
    command_line.refuse_arguments(argv)
    if _IMAGES.value and _EXAMPLES.value:
        raise app.UsageError("--images and --examples exclude each other; name one")
    if _INDEX_DIR.value and not (_IMAGES.value or _EXAMPLES.value):
        raise app.UsageError("--index_dir keeps an index of pictures; add --images or --examples to name the pictures")
    try:
        saved_model = versions.newest(_MODEL_DIR.value)
        with _listen(_HOST.value, _PORT.value) as listening:
            _serve(saved_model, listening)
    except KeyboardInterrupt:
        print("\nStopped")


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]
        raise ValueError(
            f"--host={host} --port={port} cannot be listened on ({reason}); name another address or port, or --port=0"
        ) from error


def _serve(saved_model: str, listening: socket.socket) -> None:
    terminal.quiet_terminal()
    print("Loading TensorFlow and the model", flush=True)
    try:
        from pipeline.demo import page
    except ModuleNotFoundError as error:
        raise ValueError(f"the page needs {error.name}, which is not installed; pip install flask faiss-cpu") from error
    from werkzeug.serving import make_server

    from beam.filters.pictures import PictureSettings
    from pipeline.demo.model import LoadedModel

    searched = _collection()
    model = LoadedModel(saved_model)
    _require_match(model, saved_model)
    rules = PictureSettings(min_side=1, max_bytes=_MEGABYTES.value * 10**6, max_pixels=_MEGAPIXELS.value * 10**6)
    index = _index(searched, saved_model, model, rules) if searched else None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = listening.getsockname()[1]
    wsgi = page.create(model, saved_model, index, rules, _HOST.value, _RERANK.value)
    server = make_server(_HOST.value, port, wsgi, threaded=True, fd=listening.fileno())
    print(f"The page for {saved_model} is at {_address(_HOST.value, port)} (Ctrl-C stops it)", flush=True)
    server.serve_forever()
    print("\nStopped")


def _require_match(model: "LoadedModel", saved_model: str) -> None:
    if _RERANK.value and "match" not in model.further:
        raise ValueError(
            f"--rerank={_RERANK.value} needs the signature match, which {saved_model} does not have; name a model of "
            "Simla with Simla.itm above 0, or leave --rerank out"
        )


def _address(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):
        return f"http://127.0.0.1:{port}, and at the other addresses of this machine for the whole network"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _collection() -> "Collection | None":
    from pipeline.demo import collection

    if _INDEX_DIR.value:
        command_line.require_writable(_INDEX_DIR.value, "index_dir")
    if _IMAGES.value:
        return collection.ImageFolder(_IMAGES.value)
    return collection.StoredExamples(_EXAMPLES.value) if _EXAMPLES.value else None


def _index(searched: "Collection", saved_model: str, model: "LoadedModel", rules: "PictureSettings") -> "Index":
    """Returns the kept index if its pictures, model and limits are unchanged, else builds an index."""
    from pipeline.demo import index

    folder, made_of = _INDEX_DIR.value, index.fingerprint(searched, saved_model, rules)
    if folder and (kept := index.Index.load(folder, made_of)):
        print(f"Loaded the index of {len(kept):,} pictures of {searched.path} from {folder}", flush=True)
        return kept
    start = time.monotonic()
    built, problems = index.build(searched, model, rules)
    print(f"Indexed {len(built):,} pictures of {searched.path} in {time.monotonic() - start:.0f} s", flush=True)
    if searched.left_out:
        print(f"  {searched.left_out}", flush=True)
    more = [f"{len(problems) - 3:,} more"] if len(problems) > 3 else []
    for problem in [*problems[:3], *more]:
        print(f"  left out: {problem}", flush=True)
    if folder:
        built.save(folder, made_of)
        print(f"Wrote the index to {os.path.join(folder, index.INDEX_FILE)}", flush=True)
    return built


console = command_line.script(main, "model_dir")

if __name__ == "__main__":
    console()
