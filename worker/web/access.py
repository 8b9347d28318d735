"""Who may ask the live page for what. Pure.

It listens on loopback alone, so what is to be kept out is what a browser on this machine may be led to by other
pages: a name that was made to point here (its Host is another), and requests that another page sends (they have its
Origin and cannot have the token, which stands in no page).
"""

import hmac
from collections.abc import Mapping

TOKEN_HEADER = "X-Closeout-Token"  # noqa: S105  # the name of a header
LOOPBACK = "127.0.0.1"
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def hosts(port: int) -> frozenset[str]:
    """What a request to this server may call it."""
    return frozenset(f"{name}:{port}" for name in (LOOPBACK, "localhost"))


def reading_refusal(headers: Mapping[str, str], port: int) -> str | None:
    """Why a page must not be given, or None."""
    return None if headers.get("Host") in hosts(port) else "this server is asked for by another name: see its address"


def control_refusal(headers: Mapping[str, str], token: str | None) -> str | None:
    """Why a run must not be steered, or None. ``token`` is None where nobody may."""
    if token is None:
        return "this page only shows: `closeout serve --allow-control` lets it steer"
    if headers.get("Origin") != f"http://{headers.get('Host')}":
        return "the request comes from another page"
    if not hmac.compare_digest(headers.get(TOKEN_HEADER, "").encode("utf-8", "replace"), token.encode()):
        return "the token is missing or wrong: open the address that `closeout serve` printed"
    return None
