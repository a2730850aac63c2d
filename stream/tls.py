"""TLS to Kafka and Redis: the context that a process goes by, and plain words for what fails in it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection

from stream.settings import Settings

PROBE_S = 2.0
"""How long a server that could not be used may take once more, to learn why."""
OTHER_NAME = {62, 64}
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""
EXPIRED = 10
ASKS_FOR_ONE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "BAD_CERTIFICATE")
"""Alerts of servers that got none: of OpenSSL's in TLS 1.3 and 1.2, and of Java's."""
TAKES_NOT_OURS = ("UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED", "ACCESS_DENIED")


def context(ca: Path | None, cert: Path | None, cert_key: Path | None) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and its host name, by `ca` alone where that is given.

    Raises
    ------
    ValueError
        If a file holds no certificate or no key, or the key is another one's: one line, with the setting.
    """
    try:
        made = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
    except ssl.SSLError:
        raise ValueError(f"VIGIL_CA: must hold certificates in PEM, got {ca}") from None
    if cert is not None:
        try:
            made.load_cert_chain(cert, cert_key)
        except ssl.SSLError as error:
            why = error.reason or "no PEM"
            raise ValueError(f"VIGIL_CERT: {cert} and {cert_key} must fit together ({why.lower()})") from None
    return made


def fault(error: BaseException) -> str | None:
    """Return in plain words what failed in TLS, looked for in an error and its causes; None where nothing did."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLError):
        found = found.__cause__ or found.__context__
    if found is None:
        return None
    if isinstance(found, ssl.SSLCertVerificationError):
        if found.verify_code in OTHER_NAME:
            return f"shows a certificate for another host name ({found.verify_message})"
        if found.verify_code == EXPIRED:
            return "shows a certificate that has expired"
        return f"shows a certificate that VIGIL_CA does not vouch for ({found.verify_message})"
    reason = found.reason or ""
    if any(word in reason for word in ASKS_FOR_ONE):
        return "asks for a certificate of ours: VIGIL_CERT and VIGIL_CERT_KEY"
    if any(word in reason for word in TAKES_NOT_OURS):
        return "does not take our certificate (VIGIL_CERT)"
    if reason in {"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}:
        return "does not speak TLS there"
    return f"fails in TLS ({(reason or str(found)).lower()})"


def redis_of(settings: Settings) -> str:
    """Return the URL of Redis, with the files for TLS in its query, as redis-py names them; "" where none is named."""
    url = settings.redis or ""
    files = {"ssl_ca_certs": settings.ca, "ssl_certfile": settings.cert, "ssl_keyfile": settings.cert_key}
    query = urlencode({name: str(path) for name, path in files.items() if path is not None})
    if not url.startswith("rediss:") or not query or urlsplit(url).query:
        return url
    return f"{url}?{query}"


async def why_not(url: str, error: Exception) -> str:
    """Return in words why a Redis could not be used; what a server says of our certificate, redis-py does not tell."""
    if (said := fault(error)) is not None:
        return said
    at = urlsplit(url)
    if at.scheme != "rediss":
        ended = any(word in str(error) for word in ("closed", "reset"))
        return "ends the connection: perhaps it wants TLS (rediss://)" if ended else "does not answer"
    files = dict(parse_qsl(at.query))
    paths = (files.get(f"ssl_{name}") for name in ("ca_certs", "certfile", "keyfile"))
    made = context(*(Path(name) if name else None for name in paths))
    return await heard(at.hostname or "", at.port or 6379, made) or "does not answer"


async def heard(host: str, port: int, made: ssl.SSLContext) -> str | None:
    """Return what a server says of our certificate; None where it says nothing.

    Nothing is sent to it: what it has not read when it hangs up takes its last words with it.
    """
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await asyncio.open_connection(host, port, ssl=made)
            try:
                await reader.read(1)
            finally:
                writer.close()
    except (OSError, TimeoutError) as failed:
        return fault(failed)
    return None


def guard(redis: Redis) -> Redis:
    """Make a client of a `rediss://` URL go by its own CA alone: redis-py's would take all those of the system too."""
    pool = redis.connection_pool
    if issubclass(pool.connection_class, SSLConnection):
        files = (pool.connection_kwargs.get(f"ssl_{name}") for name in ("ca_certs", "certfile", "keyfile"))
        made = context(*(Path(name) if name else None for name in files))

        class Guarded(SSLConnection):
            def __init__(self, **options: Any) -> None:
                super().__init__(**options)
                self.ssl_context.context = made

        pool.connection_class = Guarded
    return redis
