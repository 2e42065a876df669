"""The page: it shows probabilities of labels for a picture, and the nearest pictures to a text. It needs no script."""

import re
import threading
from collections.abc import Mapping
from typing import Any

import flask
from werkzeug.exceptions import BadRequest, HTTPException, InternalServerError, NotFound, RequestEntityTooLarge

from beam import thumbnails
from beam.filters.pictures import PictureSettings
from beam.records import ImageText
from components.run_report import figures, heat_maps
from pipeline.demo import guard
from pipeline.demo.collection import BadPicture, checked
from pipeline.demo.index import THUMBNAIL_SIDE, Index
from pipeline.demo.model import LoadedModel

_MAX_LABELS = 100
_FOUND = 24
_DOTS = 500  # pictures in the scatter of both modalities
_NO_PICTURES = "No pictures are indexed. Start the demo with --images or --examples."
_FORM_BYTES = 1 << 20  # limit of a form without its picture
_DECODING = threading.Lock()  # so that uploads do not add up in memory


def create(
    model: LoadedModel, name: str, index: Index | None, rules: PictureSettings, host: str, rerank: int = 0
) -> flask.Flask:
    """Returns the page as a WSGI application.

    Args:
      model: the model to ask.
      name: the name of the model, which the page shows.
      index: the pictures to search, or None.
      rules: the limits of an uploaded picture.
      host: the host that the server listens on.
      rerank: number of found pictures to rank again by the signature `match`; 0 ranks by embeddings alone.
    """
    app = flask.Flask(__name__)
    app.config.update(MAX_CONTENT_LENGTH=rules.max_bytes + _FORM_BYTES, PROPAGATE_EXCEPTIONS=False)
    guard.protect(app, host)

    scatter = _scatter(model, index)

    def render(**shown: Any) -> str:
        model_facts = {"name": name, "further": model.further, "scatter": scatter}
        return flask.render_template("page.html", **model_facts, index=index, rules=rules, typed=_typed(), **shown)

    @app.get("/")
    def start() -> str:
        return render()

    @app.post("/ask")
    def ask() -> str:
        labels = _labels(flask.request.form.get("labels", ""))
        picture = _uploaded(rules)
        bars = list(model.probabilities(picture.image, labels).items())
        shown = thumbnails.data_address(picture.image, "JPEG", THUMBNAIL_SIDE)
        return render(bars=bars, picture=shown, picture_name=picture.key)

    @app.post("/search")
    def search() -> str:
        text = flask.request.form.get("text", "").strip()
        if index is None:
            raise BadRequest(_NO_PICTURES)
        if not text:
            raise BadRequest("Type what the pictures should show.")
        embedding = model.embed_text(text)
        if not rerank:
            return render(found=index.search(embedding, _FOUND))
        return render(found=index.reranked(embedding, _FOUND, rerank, lambda images: model.matches(images, text)))

    @app.post("/locate")
    def locate() -> str:
        text = _words("Type what to look for in the picture.", "looked_for")
        _require(model, "localize")
        picture = _uploaded(rules)
        return render(heat=heat_maps.drawn(picture.image, model.heat(picture.image, text)), heat_of=text)

    @app.post("/compose")
    def compose() -> str:
        words = _words("Type how the other picture differs.", "changed")
        _require(model, "embed_pair")
        if index is None:
            raise NotFound(_NO_PICTURES)
        picture = _uploaded(rules)
        return render(composed=index.search(model.embed_pair(picture.image, words), _FOUND))

    @app.errorhandler(HTTPException)
    def show_error(error: HTTPException) -> tuple[str, int]:
        if isinstance(error, BadRequest | RequestEntityTooLarge | InternalServerError):
            return render(problem=_message(error, rules)), error.code or 500
        return flask.render_template("refusal.html", problem=_message(error, rules)), error.code or 500

    return app


def _typed() -> Mapping[str, str]:
    """Returns the texts of the form, which the page shows again; none if the form was too large to be read."""
    try:
        return flask.request.form
    except RequestEntityTooLarge:
        return {}


def _scatter(model: LoadedModel, index: Index | None) -> str:
    """Pictures and their captions on two principal axes, as a data: URL; "" for pictures without captions."""
    if index is None:
        return ""
    captions, pictures = index.captioned(_DOTS)
    return figures.modalities(pictures, model.embed_texts(captions)) if captions else ""


def _words(missing: str, field: str) -> str:
    words = flask.request.form.get(field, "").strip()
    if not words:
        raise BadRequest(missing)
    return words


def _require(model: LoadedModel, signature: str) -> None:
    if signature not in model.further:
        raise NotFound(f"This model has no signature {signature}.")


def _labels(typed: str) -> list[str]:
    labels = list(dict.fromkeys(label.strip() for label in re.split(r"[,\r\n]", typed) if label.strip()))
    if not labels:
        raise BadRequest("Type at least one label, such as: cat, dog.")
    if len(labels) > _MAX_LABELS:
        raise BadRequest(f"{len(labels)} labels are more than the limit of {_MAX_LABELS}. Ask with fewer.")
    return labels


def _uploaded(rules: PictureSettings) -> ImageText:
    file = flask.request.files.get("image")
    if file is None or not file.filename:
        raise BadRequest("Choose a picture first.")
    try:
        with _DECODING:
            return checked(file.filename, file.read(), rules)
    except BadPicture as problem:
        raise BadRequest(str(problem)) from problem


def _message(error: HTTPException, rules: PictureSettings) -> str:
    if isinstance(error, RequestEntityTooLarge):
        return f"The picture is larger than the limit of {rules.max_bytes / 1e6:.0f} MB. Choose a smaller one."
    if isinstance(error, InternalServerError):
        return "The demo failed because of an error in its code. The terminal that it runs in shows the details."
    return error.description or error.name
