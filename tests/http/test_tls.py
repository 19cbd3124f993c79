"""HTTPS, and a certificate that is renewed while the server runs."""

import contextlib
import http.client
import shutil
import signal
import socket
import ssl
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.http.client import Answer, Client, parse_answer
from tests.http.server import ServerProcess
from tests.http.test_command import refuses_to_start

Start = Callable[..., ServerProcess]
Connect = Callable[[int], http.client.HTTPSConnection]

FILES = Path(__file__).parent / "tls"


def install(name: str, folder: Path) -> list[str]:
    """Puts a certificate and its key where a server reads them; its flags."""
    shutil.copy(FILES / f"{name}.pem", folder / "cert.pem")
    shutil.copy(FILES / f"{name}.key.pem", folder / "key.pem")
    return ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]


def stranger() -> ssl.SSLContext:
    """Believes every certificate: which one it was is looked at afterwards."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens connections; closes them."""
    with contextlib.ExitStack() as stack:

        def open_one(port: int) -> http.client.HTTPSConnection:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=stranger())
            stack.callback(connection.close)
            connection.connect()
            return connection

        yield open_one


def ask(connection: http.client.HTTPSConnection, path: str = "/healthz") -> Answer:
    connection.request("GET", path)
    return parse_answer(connection.getresponse())


def certificate(connection: http.client.HTTPSConnection) -> bytes | None:
    assert isinstance(connection.sock, ssl.SSLSocket)
    return connection.sock.getpeercert(binary_form=True)


def expected(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert((FILES / f"{name}.pem").read_text())


def test_with_a_certificate_a_server_speaks_https(start: Start, connect: Connect, tmp_path: Path) -> None:
    server = start(*install("first", tmp_path))
    server.wait_for_line("listening on https://127.0.0.1:")
    connection = connect(server.port)
    assert certificate(connection) == expected("first")
    ask(connection).ok()
    assert isinstance(connection.sock, ssl.SSLSocket)
    assert connection.sock.version() == "TLSv1.3"
    large = b'{"tenant_id": "t", "embeddings": [' + b",".join([b"[" + b"1," * 999 + b"1]"] * 500) + b"]}"
    connection.request(
        "POST", "/embeddings/insert-raw-embeddings", large, {"Content-Type": "application/json"}
    )
    assert parse_answer(connection.getresponse()).ok()["insert_count"] == 500


def test_sighup_renews_the_certificate_of_new_connections(
    start: Start, connect: Connect, tmp_path: Path
) -> None:
    server = start(*install("first", tmp_path))
    before = connect(server.port)
    ask(before).ok()
    install("second", tmp_path)
    still = connect(server.port)
    assert certificate(still) == expected("first")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line("new connections get the certificate")
    after = connect(server.port)
    assert certificate(after) == expected("second")
    for connection in (before, still, after):
        ask(connection).ok()


@pytest.mark.parametrize("damage", ["no certificate", "of another", "gone"])
def test_bad_files_leave_the_certificate_in_use(
    start: Start, connect: Connect, tmp_path: Path, damage: str
) -> None:
    server = start(*install("first", tmp_path))
    if damage == "no certificate":
        (tmp_path / "cert.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    elif damage == "of another":
        shutil.copy(FILES / "second.pem", tmp_path / "cert.pem")
    else:
        (tmp_path / "key.pem").unlink()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_line("the certificate in use stays")
    connection = connect(server.port)
    assert certificate(connection) == expected("first")
    ask(connection).ok()


def test_who_does_not_speak_tls_is_hung_up_on_quietly(start: Start, connect: Connect, tmp_path: Path) -> None:
    server = start(*install("first", tmp_path))
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while data := sock.recv(1000):
                answer += data
    assert b"HTTP" not in answer
    old = stranger()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=60) as sock,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        old.wrap_socket(sock)
    ask(connect(server.port)).ok()
    server.terminate()
    assert server.exit_code() == 0
    assert [line for line in server.lines if "Traceback" in line or "Error" in line] == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--tls-cert", "{}/first.pem"], "give both"),
        (["--tls-key", "{}/first.key.pem"], "give both"),
        (["--tls-cert", "{}/first.pem", "--tls-key", "{}/second.key.pem"], "second.key.pem"),
        (["--tls-cert", "{}/first.pem", "--tls-key", "{}/encrypted.key.pem"], "unencrypted"),
        (["--tls-cert", "{}/first.pem", "--tls-key", "{}/none.pem"], "No such file"),
    ],
)
def test_files_that_will_not_do_refuse_to_start(tmp_path: Path, flags: list[str], words: str) -> None:
    flags = [flag.replace("{}", str(FILES)) for flag in flags]
    assert words in refuses_to_start("serve", "--data", str(tmp_path / "data"), *flags)
    assert not (tmp_path / "data").exists()


def test_a_plain_client_finds_nothing_to_read(start: Start, tmp_path: Path) -> None:
    server = start(*install("first", tmp_path))
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        Client(server.port).request("GET", "/healthz")
