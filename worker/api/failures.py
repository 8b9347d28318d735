"""Why a request has no answer: which phase failed, whether anything was sent, and the cause in one sentence.

Pure functions. What failed before a request's first byte was written is *unsent*, and never in doubt: its code in the
ledger begins with ``unsent_`` and names the phase.
"""

import errno
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import httpx

from closeout.worker.domain.exchange import UNREADABLE, UNSENT
from closeout.worker.support.terminal import printable

# From a request's wait for a free connection to its answer. ``proxy``: to reach one, and what it says to the next step.
Phase = Literal["pool", "dns", "tcp", "proxy", "tls", "request"]
_LATE: dict[Phase, str] = {
    "pool": "no connection was free within {limit:g} s",
    "dns": "{host} was not resolved within {limit:g} s",
    "tcp": "{host} did not take the connection within {limit:g} s",
    "proxy": "the proxy {proxy} gave no way to {host} within {limit:g} s",
    "tls": "{host} did not finish the TLS handshake within {limit:g} s",
}
_UNKNOWN_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_EXPIRED, _NOT_YET, _NAME, _ADDRESS = 10, 9, 62, 64  # OpenSSL's X509_V_ERR_…
_UNSIGNED = {18, 19, 20, 21, 2}
# What a server says after its side of a handshake, of the client's certificate: with TLS 1.3 the request has left then,
# and was not read.
_ABOUT_OUR_CERTIFICATE = (
    "CERTIFICATE_REQUIRED", "ALERT_BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED", "CERTIFICATE_UNKNOWN", "ALERT_UNKNOWN_CA", "ALERT_ACCESS_DENIED", "ALERT_HANDSHAKE_FAILURE",
)  # fmt: skip
_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Failure:
    """``code`` is for the ledger, ``cause`` for a person; ``lasting``: only a person can mend it."""

    code: str
    sent: bool
    cause: str = ""
    lasting: bool = False


class FailedExchangeError(httpx.TransportError):
    """A request without an answer."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a connection was to reach: host and port, by way of a proxy (without its password) or not."""

    host: str
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server's certificate says: for whom it is, who signed it, and until when it holds (as OpenSSL writes)."""

    names: tuple[str, ...] = ()
    issuer: str = ""
    begins: str = ""
    ends: str = ""


def certificate_of(told: Any) -> Certificate:  # as OpenSSL gives it: dictionaries of nested tuples
    """A certificate as ``ssl`` describes it."""
    alternatives = [str(value) for kind, value in told.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
    names = alternatives or [_common_name(told.get("subject", ()))]
    return Certificate(
        tuple(_plain(name) for name in names if name),
        _common_name(told.get("issuer", ())),
        _plain(str(told.get("notBefore", ""))),
        _plain(str(told.get("notAfter", ""))),
    )


def _common_name(name: Any) -> str:
    """Its common name, else its organisation."""
    parts = {key: value for part in name for key, value in part}
    return _plain(str(parts.get("commonName") or parts.get("organizationName") or ""))


def _plain(text: str) -> str:
    """What a stranger wrote, for one line: nothing that acts on a terminal, and not too long."""
    shown = printable(text)
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def late(phase: Phase, peer: Peer, limit: float) -> Failure:
    """A phase took longer than its limit in seconds."""
    if phase == "request":
        return Failure("timeout", sent=True, cause=f"no answer from {peer.host} within {limit:g} s")
    cause = _LATE[phase].format(host=peer.host, proxy=peer.proxy, limit=limit)
    return Failure(f"{UNSENT}{phase}_timeout", sent=False, cause=cause)


def unsent(error: BaseException, phase: Phase, peer: Peer, seen: Sequence[Certificate] = ()) -> Failure:
    """No connection was made; ``seen`` are the certificates that were shown, the server's own first."""
    if isinstance(error, UnicodeError | httpx.InvalidURL | aiohttp.InvalidURL):
        return Failure("request_unsendable", sent=False, cause="a request that cannot be written")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return _refused_by_proxy(error.status, peer)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unresolved(error, peer)
    certificate = _verification_error(error)
    if certificate is not None:
        return _bad_certificate(certificate, f"{peer.proxy or peer.host}" if phase == "proxy" else peer.host, seen)
    if isinstance(error, aiohttp.ClientConnectorSSLError | ssl.SSLError) or phase == "tls":
        return _no_handshake(error, peer)
    return _unconnected(error, phase, peer)


def _unresolved(error: aiohttp.ClientConnectorDNSError, peer: Peer) -> Failure:
    """Of a proxy's name or the host's. A resolver that gives no answer may give one later; "no such name" is final."""
    name = error.host
    known = error.os_error.errno not in _UNKNOWN_NAME
    why = ": no nameserver answers" if error.os_error.errno == socket.EAI_AGAIN else ""
    whose = "the proxy's name " if peer.proxy and name != peer.host else ""
    return Failure(f"{UNSENT}dns", sent=False, cause=f"cannot resolve {whose}{_plain(name)}{why}", lasting=not known)


def _refused_by_proxy(status: int, peer: Peer) -> Failure:
    todo = ": give its user and password, as in --proxy http://USER:PASSWORD@HOST:PORT" if status == 407 else ""
    cause = f"proxy {peer.proxy} answered {status} for {peer.host}{todo}"
    return Failure(f"{UNSENT}proxy_{status}", sent=False, cause=cause, lasting=status in (401, 403, 405, 407))


def _unconnected(error: BaseException, phase: Phase, peer: Peer) -> Failure:
    number = _os_error(error)
    if phase == "proxy":
        if number == errno.ECONNREFUSED:
            return Failure(f"{UNSENT}proxy_refused", sent=False, cause=f"proxy {peer.proxy} refused the connection")
        return Failure(f"{UNSENT}proxy", sent=False, cause=f"proxy {peer.proxy} made no way to {peer.host}")
    if number == errno.ECONNREFUSED:
        return Failure(f"{UNSENT}tcp_refused", sent=False, cause=f"{peer.host} refused the connection")
    why = f" ({_system_says(number)})" if number else ""
    return Failure(f"{UNSENT}{phase}", sent=False, cause=f"no connection to {peer.host}{why}")


def _system_says(number: int) -> str:
    known = {
        errno.ENETUNREACH: "network unreachable", errno.EHOSTUNREACH: "host unreachable",
        errno.ETIMEDOUT: "timed out", errno.ECONNRESET: "connection reset", errno.EMFILE: "too many open files",
    }  # fmt: skip
    return known.get(number) or errno.errorcode.get(number, f"error {number}")


def _os_error(error: BaseException) -> int | None:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return inner.errno if isinstance(inner, OSError) else None


def _verification_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    return error if isinstance(error, ssl.SSLCertVerificationError) else None


def _bad_certificate(error: ssl.SSLCertVerificationError, host: str, seen: Sequence[Certificate]) -> Failure:
    shown = seen[0] if seen else Certificate()
    code, what = error.verify_code, f"the certificate of {host}"
    if code == _EXPIRED:
        name, cause = "expired", f"{what} expired on {shown.ends}" if shown.ends else f"{what} has expired"
    elif code == _NOT_YET:
        name = "not_yet"
        cause = f"{what} is not valid before {shown.begins or 'a later time'}: check the clock of this machine"
    elif code in (_NAME, _ADDRESS):
        more = ", …" if len(shown.names) > _NAMES_SHOWN else ""
        whose = ", ".join(shown.names[:_NAMES_SHOWN]) + more if shown.names else "another name"
        name, cause = "name", f"{what} is for {whose}: check --base-url"
    elif code in _UNSIGNED:
        by = f"signed by '{seen[-1].issuer}'" if seen and seen[-1].issuer else "signed by somebody"
        name, cause = "untrusted", f"{what} is {by}, which nothing here trusts: --cacert FILE names a CA to trust"
    else:
        name, cause = "certificate", f"{what} is not accepted: {_plain(error.verify_message)}"
    return Failure(f"{UNSENT}tls_{name}", sent=False, cause=cause, lasting=True)


def _no_handshake(error: BaseException, peer: Peer) -> Failure:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    reason = (inner.reason if isinstance(inner, ssl.SSLError) else None) or ""
    if any(known in reason for known in _ABOUT_OUR_CERTIFICATE):
        return _wants_certificate(peer, reason)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE"):
        return Failure(f"{UNSENT}tls", sent=False, cause=f"{peer.host} does not speak TLS there: check --base-url")
    why = f" ({_plain(reason.replace('_', ' ').lower())})" if reason else ": it broke the connection off"
    return Failure(f"{UNSENT}tls", sent=False, cause=f"no TLS handshake with {peer.host}{why}")


def _wants_certificate(peer: Peer, reason: str) -> Failure:
    asked = "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason
    said = "asks for a client certificate" if asked else f"does not accept the client certificate ({reason.lower()})"
    cause = f"{peer.host} {said.replace('_', ' ')}: --cert and --key give one"
    return Failure(f"{UNSENT}tls_client_certificate", sent=False, cause=cause, lasting=True)


def lost(error: BaseException, peer: Peer, *, fresh: bool) -> Failure:
    """The request was written, or may have been; ``fresh``: on a connection that had carried none before."""
    alert = _alert_of(error)
    if fresh and alert is not None and any(known in alert for known in _ABOUT_OUR_CERTIFICATE):
        return _wants_certificate(peer, alert)
    if isinstance(error, aiohttp.ClientResponseError):
        why = _plain(error.message.splitlines()[0] if error.message else "")
        return Failure(UNREADABLE, sent=True, cause=f"{peer.host} answers what is no HTTP ({why.rstrip(':.')})")
    cause = f"{peer.host} broke the connection off before its answer was complete"
    return Failure("connection_lost", sent=True, cause=cause)


def _alert_of(error: BaseException) -> str | None:
    """The reason of the TLS error that ended a connection."""
    step: BaseException | None = error
    for _ in range(5):
        if isinstance(step, ssl.SSLError):
            return step.reason
        step = step.__cause__ if step is not None else None
    return None
