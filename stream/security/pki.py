"""A private certificate authority and what it signs: X.509 on the curve P-256, and Ed25519 keys that sign records."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
CERTIFICATE_DAYS = 397
"""A year and a month: what is not renewed by then ends loudly."""
SET_BACK = datetime.timedelta(hours=1)
"""Certificates hold from an hour ago: clocks of a ward differ."""


class Issued(NamedTuple):
    """A certificate with its private key."""

    cert: x509.Certificate
    key: EllipticCurvePrivateKey

    @property
    def cert_pem(self) -> bytes:
        """The certificate in PEM."""
        return self.cert.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key in PEM, PKCS #8, without a password."""
        return pem(self.key)


def pem(key: EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    """Return a private key in PEM, PKCS #8, without a password: the file's mode guards it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def authority(name: str, days: int = CA_DAYS) -> Issued:
    """Make a certificate authority that may sign certificates, and no other authority."""
    key = generate_private_key(SECP256R1())
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = _builder(_name(name), _name(name), key, days).add_extension(usage, critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def issue(ca: Issued, name: str, hosts: Sequence[str] = (), days: int = CERTIFICATE_DAYS) -> Issued:
    """Make a certificate for a client, or for a server that is reached by `hosts` and may be a client as well.

    Parameters
    ----------
    ca : Issued
        Who signs.
    name : str
        Common name: the user that Kafka takes its holder for.
    hosts : sequence of str
        Names and addresses of a server; none for who is a client alone.
    days : int
        How long it holds.
    """
    key = generate_private_key(SECP256R1())
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if hosts else [])]
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = _builder(_name(name), ca.cert.subject, key, days).add_extension(signer, critical=False)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if hosts:
        names = x509.SubjectAlternativeName([_general(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return Issued(builder.sign(ca.key, hashes.SHA256()), key)


def load(cert_pem: bytes, key_pem: bytes) -> Issued:
    """Read a certificate and its key back; raises ValueError where they are no such."""
    key = serialization.load_pem_private_key(key_pem, password=None)
    if not isinstance(key, EllipticCurvePrivateKey):
        raise ValueError("the key of the certificate authority must be one on an elliptic curve")
    return Issued(x509.load_pem_x509_certificate(cert_pem), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SET_BACK)
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
