"""The deterministic certificate, rebuilt from a public key and a signature."""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.x509.oid import NameOID

from protocols.digest import frame
from protocols.identity import Identity, verify
from secured_node.net.certificate import (
    SHOWN_NAME_CHARS_MAX,
    certificate,
    read_certificate,
    sign_certificate,
    to_be_signed,
)

IDENTITY = Identity(b"\1" * 32)
# Made once by this code from the seed 01..01 and checked with `openssl x509 -text`; it may never change.
SIGNATURE = (
    "825420c05ce772420177703eaa3446b3c5c6dfdbc3d2121adca5cad11cd151f6"
    "ca8a4a06a42ad49dec57d0a5e9c7fa409764beb4611037c28f728f8db5f98e04"
)


def test_the_certificate_is_a_function_of_the_key_and_rebuilt_without_it() -> None:
    signature = sign_certificate(IDENTITY)
    assert signature.hex() == SIGNATURE
    assert sign_certificate(Identity(b"\1" * 32)) == signature
    der = certificate(IDENTITY.node, signature)
    parsed = x509.load_der_x509_certificate(der)
    assert parsed.tbs_certificate_bytes == to_be_signed(IDENTITY.node)
    assert parsed.signature == signature
    parsed.verify_directly_issued_by(parsed)
    verify(IDENTITY.node, signature, to_be_signed(IDENTITY.node))


def test_its_fields_are_fixed() -> None:
    parsed = x509.load_der_x509_certificate(certificate(IDENTITY.node, sign_certificate(IDENTITY)))
    assert parsed.serial_number == 1
    assert parsed.not_valid_before_utc == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert parsed.not_valid_after_utc == dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)
    assert parsed.subject == parsed.issuer == x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, IDENTITY.node)])
    assert parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = parsed.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature and not usage.key_cert_sign
    assert all(extension.critical for extension in parsed.extensions)


def test_what_it_signs_is_never_a_frame() -> None:
    assert to_be_signed(IDENTITY.node)[1] != frame("x" * 40)[1]


def test_a_certificate_is_read_back() -> None:
    der = certificate(IDENTITY.node, sign_certificate(IDENTITY))
    shown = read_certificate(der)
    assert shown is not None
    assert (shown.node, shown.name, shown.signature) == (IDENTITY.node, IDENTITY.node, sign_certificate(IDENTITY))
    assert str(shown) == f"CN={IDENTITY.node}"
    assert certificate(IDENTITY.node, shown.signature) == der


def test_a_strangers_certificate_is_shown_safely() -> None:
    key = generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "proxy\n\x1b[31m evil" + "x" * 40)])
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), 7)
        .not_valid_before(dt.datetime(2020, 1, 1))
        .not_valid_after(dt.datetime(2030, 1, 1))
    )
    from cryptography.hazmat.primitives.hashes import SHA256

    shown = read_certificate(built.sign(key, SHA256()).public_bytes(serialization.Encoding.DER))
    assert shown is not None
    assert shown.node is None
    assert shown.name.startswith("proxy??[31m?evil") and len(shown.name) <= SHOWN_NAME_CHARS_MAX
    assert read_certificate(b"\x30\x03abc") is None
    assert read_certificate(b"") is None
