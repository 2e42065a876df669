"""Reads X-Robots-Tag, by which a site says how its pictures may be used."""


def directives(header: str, user_agent: str) -> set[str]:
    """Returns the directives of X-Robots-Tag for all clients or for this one (the first word of its user agent)."""
    own = user_agent.split("/")[0].split()[0].casefold() if user_agent.split() else ""
    found: set[str] = set()
    applies = True
    for part in header.casefold().split(","):
        name, colon, rest = part.strip().partition(":")
        if colon and name.strip() not in ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"):
            # "googlebot: noindex, nofollow": the name applies to all directives after it
            applies = name.strip() in ("*", own)
            part = rest
        if applies:
            found.add(part.strip())
    return found
