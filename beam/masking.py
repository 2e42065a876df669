"""Masks secrets of URLs in messages: logins, signatures, tokens and keys must not reach rejects, logs or pages."""

import re
import unicodedata
import urllib.parse

_MASK = "***"
_SHOWN = 200  # characters of a URL in a message
_LONGEST = 10_000  # characters that are looked at; the rest of a longer text is left out
_ENCODED = r"%(?:25)*"  # a percent sign, which may itself be encoded, as in a URL within a URL
_ODD_LOGIN = r"[^/?#@:\s]{1,500}:(?!\d{0,5}[/?#])[^@\s]{0,4000}@"  # its password has a slash, or another end of hosts
_LOGIN = re.compile(
    rf"(:[/\\]+|[/\\]{{2}}|https?:)(?:[^/?#\s]{{1,4000}}@(?:{_ODD_LOGIN})?|{_ODD_LOGIN})", re.IGNORECASE
)
_LOGIN_OF_NO_SCHEME = re.compile(r"[^/?#@:\s]{0,500}:(?![/\\])[^@\s]{1,4000}@")  # user:password@host/picture.jpg
_ENCODED_LOGIN = re.compile(
    rf"({_ENCODED}3a(?:{_ENCODED}2f){{2}})(?:(?!{_ENCODED}(?:2f|3f|23))[^/?#&\s]){{1,500}}{_ENCODED}40", re.IGNORECASE
)
_NAME = re.compile(
    rf"(?:[?&;#]|{_ENCODED}(?:3f|26|3b|23))((?:(?!{_ENCODED}(?:3d|26|3b|3f|23))[^=&;?#\s]){{1,200}}?)(?:=|{_ENCODED}3d)",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(r"[^&#\s]*?(?=['\")\]}>,]{0,4}(?:[&#\s]|$))")
_VALUE = re.compile(r"[^&;#\s'\"]{0,500}")
_LOOKS_RANDOM = re.compile(r"eyJ[\w-]+\.|(?=[^\d]*\d)(?=[^a-zA-Z]*[a-zA-Z])[\w+/=%~-]{32,}$")
_WORDS_OF_NAME = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z]?[a-z]+\d*")
_SECRET_WORDS = frozenset([
    "sig", "sigs", "sign", "signed", "key", "keys", "token", "tokens", "secret", "secrets", "auth", "oauth",
    "authorization", "bearer", "jwt", "pass", "passwd", "password", "passphrase", "passcode", "pwd", "pw", "pin",
    "otp", "cred", "creds", "credential", "credentials", "session", "sessionid", "sess", "sid", "code", "policy",
    "hmac", "mac", "md5", "sha1", "sha256", "hash", "digest", "ticket", "nonce", "assertion", "saml", "sas",
    "login", "hdnts", "hdnea", "hdntl", "gda", "oh", "ak", "sk", "csrf", "xsrf",
])  # fmt: skip
_SECRET_PARTS = (
    "signature", "token", "secret", "passw", "passphrase", "credential", "session", "sessid", "authoriz", "oauth",
    "apikey", "accesskey", "accessid", "keypair",
)  # fmt: skip
_NO_KEYS = frozenset(["monkey", "turkey", "donkey", "hockey", "jockey", "whiskey", "hotkey"])


def mask(text: str) -> str:
    """Returns the text with the secrets of all its URLs replaced by ***.

    Secrets are logins before a host, and values of queries and fragments whose names look like signatures, tokens, keys
    or passwords, or that are long and look random. Names and URLs within URLs may be percent-encoded. A text beyond
    10,000 characters is cut.
    """
    if len(text) > _LONGEST:
        return mask(text[:_LONGEST]) + "..."
    if not any(sign in text for sign in "=@%"):
        return text
    text = _ENCODED_LOGIN.sub(rf"\1{_MASK}%40", _LOGIN.sub(rf"\1{_MASK}@", text))
    pieces, end = [], 0
    for found in _NAME.finditer(text):
        if found.start() < end or text.startswith(_MASK, found.end()):  # masked already
            continue
        value = _VALUE.match(text, found.end())
        if _is_secret(found[1]) or (value and _LOOKS_RANDOM.match(value[0])):
            secret = _SECRET_VALUE.match(text, found.end())
            pieces += [text[end : found.end()], _MASK]
            end = secret.end() if secret else len(text)
    return "".join([*pieces, text[end:]])


def shown(url: object) -> str:
    """Returns a URL, or the value in its place, for a message: without secrets, on one line, at most 200 characters."""
    text = url if isinstance(url, str) else repr(url)
    line = "".join(one if one.isprintable() and one != " " else _escaped(one) for one in text[:_LONGEST])
    if login := _LOGIN_OF_NO_SCHEME.match(line):
        line = f"{_MASK}@{line[login.end() :]}"
    masked = mask(line)
    return masked if len(masked) <= _SHOWN else f"{masked[:_SHOWN]}..."


def _escaped(character: str) -> str:
    return urllib.parse.quote(character, errors="replace")


def _is_secret(name: str) -> bool:
    for _ in range(3 if "%" in name or "+" in name else 0):
        name = urllib.parse.unquote_plus(name)
    name = unicodedata.normalize("NFKC", name)
    words = {word.casefold() for word in _WORDS_OF_NAME.findall(name)}
    words |= {word.rstrip("0123456789") for word in words}
    squashed = re.sub(r"[\W_]", "", name).casefold()
    return (
        squashed in _SECRET_WORDS
        or not words.isdisjoint(_SECRET_WORDS)
        or any(word.endswith("sig") or (word.endswith("key") and word not in _NO_KEYS) for word in words)
        or any(part in squashed for part in _SECRET_PARTS)
    )
