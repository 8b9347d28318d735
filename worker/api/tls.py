"""TLS as the network of a run wants it: whom to trust, what to show, and a look at what is not trusted."""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

from closeout.worker.api.failures import Certificate, certificate_of
from closeout.worker.config.network import Network, Place
from closeout.worker.support.errors import ConfigurationError


def trusting_context(network: Network) -> ssl.SSLContext:
    """What the system trusts and the network adds; 20 ms to read. Raises ConfigurationError that names a bad file."""
    for place in network.system_ca:
        if not any(os.path.exists(each) for each in place.path.split(os.pathsep)):
            raise ConfigurationError(f"{place.origin}: {place.path} does not exist")
    context = ssl.create_default_context()
    _add(context, network)
    return context


def check_files(network: Network) -> None:
    """Raises ConfigurationError for a file that cannot be used, before anything is sent."""
    if network.ca or network.cert or network.system_ca:
        trusting_context(network)


def _add(context: ssl.SSLContext, network: Network) -> None:
    if network.ca is not None:
        path = Path(network.ca.path)
        try:
            context.load_verify_locations(**({"capath": str(path)} if path.is_dir() else {"cafile": str(path)}))
        except OSError as error:
            raise ConfigurationError(f"{network.ca.origin}: {path} {_why(error, 'certificates')}") from None
    if network.cert is not None:
        key = network.cert_key.path if network.cert_key is not None else None
        try:
            context.load_cert_chain(network.cert.path, key, password=_no_password)
        except OSError as error:
            place = _culprit(network.cert, network.cert_key, error)
            what = "a certificate and its private key, without a password"
            raise ConfigurationError(f"{place.origin}: {place.path} {_why(error, what)}") from None


def _no_password() -> str:
    """Nobody is there to be asked, which OpenSSL would do at the terminal."""
    return ""


def _culprit(cert: Place, key: Place | None, error: OSError) -> Place:
    """Of two files, the one that is missing; else the key, where that is a file of its own."""
    if key is None or (not isinstance(error, ssl.SSLError) and not os.access(cert.path, os.R_OK)):
        return cert
    return key


def _why(error: OSError, wanted: str) -> str:
    if isinstance(error, ssl.SSLError):
        return f"does not hold {wanted}, as PEM"
    return f"cannot be read: {error.strerror or 'unreadable'}"


def blind_context() -> ssl.SSLContext:
    """For a look at whom a host says to be. Nothing may be sent to what was not verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def certificates_of(transport: asyncio.BaseTransport | None) -> tuple[Certificate, ...]:
    """What the other side of a connection has shown, its own certificate first; nothing where there is no TLS."""
    tls: Any = transport.get_extra_info("ssl_object") if transport is not None else None
    if tls is None:
        return ()
    try:
        # Python names a way to what is not verified only from 3.13 on, and then as bytes that it has no reader for.
        return tuple(certificate_of(each.get_info()) for each in tls._sslobj.get_unverified_chain() or ())
    except (AttributeError, ssl.SSLError):
        return (certificate_of(tls.getpeercert() or {}),)
