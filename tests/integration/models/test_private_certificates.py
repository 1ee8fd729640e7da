"""A judge behind a certificate authority of one's own: known by SSL_CERT_FILE, refused without."""

import datetime
import os
import ssl
import subprocess
import sys

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from medix_r1.errors import JudgeUnavailable
from medix_r1.models.judge import Question
from tests.support.judge_stub import JudgeStub

SAME = Question("Which side?", "left lung", "Left lung.")


def certificate(name, key, issuer, issuer_key, *, authority):
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def private_judge(tmp_path):
    """Address of a judge with a certificate of a private authority, and the authority's file."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ca.pem").write_bytes(certificate("clinic", ca_key, "clinic", ca_key, authority=True))
    (tmp_path / "server.pem").write_bytes(
        certificate("localhost", key, "clinic", ca_key, authority=False)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with JudgeStub() as stub:
        stub.socket = context.wrap_socket(stub.socket, server_side=True)
        yield f"https://localhost:{stub.port}/v1", tmp_path / "ca.pem"


async def test_an_unknown_authority_is_refused(private_judge, make_judge, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)

    with pytest.raises(JudgeUnavailable, match="UnknownIssuer"):
        await make_judge(private_judge[0], patience=0.05).judge(SAME)


async def test_ssl_cert_file_makes_an_authority_known(private_judge, make_judge, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(private_judge[1]))

    assert (await make_judge(private_judge[0]).judge(SAME)).matches


ASK = """
import asyncio, sys
from medix_r1.models.judge import ChatJudge, Question

async def ask():
    judge = ChatJudge(base_url=sys.argv[1], model="m", prompt="match_short", timeout=5)
    print((await judge.judge(Question("Which side?", "left lung", "Left lung."))).matches)
    await judge.aclose()

asyncio.run(ask())
"""


def test_python_ends_in_order_after_a_call(private_judge):
    """Without the wait in `aclose`, about one process in five aborts at exit: pyreqwest's thread is still running."""
    environment = os.environ | {"SSL_CERT_FILE": str(private_judge[1])}
    for _ in range(12):
        ended = subprocess.run(
            [sys.executable, "-c", ASK, private_judge[0]], env=environment, capture_output=True, text=True, timeout=60
        )
        assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
