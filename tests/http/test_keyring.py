"""What of keys cannot be seen from outside: looked at in this process."""

import hmac
import math
import re
from pathlib import Path
from typing import Any

import pytest

from ingot.auth.key import hash_of, new_key
from ingot.auth.keyring import Keyring
from ingot.errors import InternalError, Unauthenticated
from ingot.http import app, needs
from ingot.http.access_log import ServerLog
from ingot.service import Service
from ingot.settings import Settings
from tests.http.client import Answer, Client
from tests.http.keys import KeyClient, create
from tests.http.test_command import run
from tests.http.test_failures import serve_and_ask
from tests.http.test_keys import REQUESTS, ask


def test_every_key_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, revoked_id = create(tmp_path, "read"), new_key()
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def record(sent: bytes, held: bytes) -> bool:
        compared.append((sent, held))
        return real(sent, held)

    monkeypatch.setattr(hmac, "compare_digest", record)
    keyring = Keyring(tmp_path, None, print)
    assert keyring.caller(good).key_id == good.split("_")[1]
    assert compared == [(hash_of(good), hash_of(good))]
    # An unknown id takes as many comparisons as a known one with a wrong secret, and none is of two equal texts.
    for wrong in (revoked_id, good[:19] + revoked_id[19:], "", "x"):
        compared.clear()
        with pytest.raises(Unauthenticated):
            keyring.caller(wrong)
        assert [(sent, len(held)) for sent, held in compared] == [(hash_of(wrong), 32)] * 2


def test_the_file_is_not_asked_for_with_every_request(tmp_path: Path) -> None:
    key = create(tmp_path, "read")
    keyring = Keyring(tmp_path, None, print)
    keyring.look(100.0)
    other = create(tmp_path, "read")
    keyring.look(100.2)
    with pytest.raises(Unauthenticated):
        keyring.caller(other)
    keyring.look(101.0)
    keyring.caller(other)
    keyring.caller(key)


def test_a_server_that_cannot_read_its_keys_complains_once(tmp_path: Path) -> None:
    key, said = create(tmp_path, "read"), list[str]()
    keyring = Keyring(tmp_path, None, said.append)
    (tmp_path / "keys.json").unlink()
    # Not even its times can be asked for.
    (tmp_path / "keys.json").symlink_to("keys.json")
    for now in range(5):
        keyring.look(float(now))
        keyring.caller(key)
    assert len(said) == 1
    assert "keys read before hold" in said[0]


def test_keys_never_made_stay_unmade(tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "nowhere", None, print)
    keyring.look(math.inf)
    keyring.remember_protection()
    assert not keyring.protected
    assert not (tmp_path / "nowhere").exists()


class UnaskedService(Service):
    """A service whose engine nobody may reach for."""

    asked = 0

    def admit(self) -> None:
        """Always."""

    @property
    def _open_store(self) -> Any:
        type(self).asked += 1
        raise InternalError("the engine was asked")


@pytest.mark.parametrize("path", REQUESTS)
def test_the_engine_is_not_asked_about_a_tenant_of_others(tmp_path: Path, path: str) -> None:
    key = create(tmp_path, "admin", "mine")
    for tenant, status, asked in (("theirs", 403, 0), ("mine", 500, 1)):

        def question(client: Client, tenant: str = tenant) -> Answer:
            return ask(KeyClient(client.port, key), path, tenant)

        UnaskedService.asked = 0
        answer, _ = serve_and_ask(UnaskedService, question, tmp_path)
        assert (answer.status, UnaskedService.asked) == (status, asked)


def test_a_path_that_nobody_thought_of_refuses_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(needs.ON_A_TENANT, "/tenants/monitor")
    log = ServerLog("text")
    try:
        with pytest.raises(InternalError, match="/tenants/monitor"):
            app.App(Settings(data=tmp_path), None, Keyring(tmp_path, None, print), log)  # type: ignore[arg-type]
    finally:
        log.close()


def test_a_key_is_no_flag() -> None:
    text = run("serve", "--help").stdout + run("keys", "create", "--help").stdout
    assert "--admin-key-file" in text
    assert "--admin-key " not in text
    assert not re.search(r"--key(?![\w-])", text)
    assert "INGOT_ADMIN_KEY" in text
