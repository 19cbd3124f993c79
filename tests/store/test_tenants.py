"""Tenants and sub-tenants in process."""

import threading
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot import errors

ONES = np.ones((3, 2), np.float32)


def test_a_tenant_is_made_and_deleted(store: ingot.Store) -> None:
    assert store.create_tenant("t", 2, "l2") is True
    assert store.create_tenant("t", 2, "l2") is False
    with pytest.raises(errors.TenantSettingsDiffer, match="metric l2 and dimension 2") as caught:
        store.create_tenant("t", 3)
    assert (caught.value.metric, caught.value.dimension) == ("l2", 2)
    store.insert("t", np.zeros((1, 2)), file_id="zero")
    assert store.search("t", np.array([3.0, 4.0])).distances.tolist() == [5.0]
    store.delete_tenant("t")
    for call in (store.stats, store.delete_tenant, store.sub_tenants):
        with pytest.raises(errors.TenantNotFound):
            call("t")
    store.insert("t", np.ones((1, 7)))
    assert store.stats("t").dimension == 7


@pytest.mark.parametrize(("dimension", "metric"), [(0, "ip"), (3025, "ip"), (2, "dot")])
def test_what_a_tenant_cannot_be_is_a_value_error(store: ingot.Store, dimension: int, metric: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        store.create_tenant("t", dimension, metric)  # type: ignore[arg-type]
    assert list(store.tenants()) == []


def test_tenants_sub_tenants_and_sources_are_listed(store: ingot.Store) -> None:
    names = [f"t{number}" for number in range(5)]
    for name in names:
        store.create_tenant(name)
    assert sorted(store.tenants()) == names
    assert store.sub_tenants("t0") == ["default"]
    assert store.stats("t0").dimension is None
    assert list(store.sources("t0")) == []
    # More than a page.
    for number in range(1010):
        store.insert("t0", ONES[: 1 + number % 3], file_id=f"s{number}", sub_tenant_id="many")
    expected = [(f"s{number}", 1 + number % 3) for number in range(1010)]
    assert list(store.sources("t0", sub_tenant_id="many")) == expected
    assert store.sub_tenants("t0") == ["default", "many"]
    store.delete_sub_tenant("t0", "many")
    with pytest.raises(errors.SubTenantNotFound):
        list(store.sources("t0", sub_tenant_id="many"))
    with pytest.raises(errors.InvalidId, match="default"):
        store.delete_sub_tenant("t0", "default")
    assert store.sub_tenants("t0") == ["default"]


def test_what_was_deleted_stays_so_after_a_restart(data: Path) -> None:
    with ingot.open(data) as store:
        for sub_tenant in ("a", "b"):
            store.insert("t", ONES, file_id="s", sub_tenant_id=sub_tenant)
        store.insert("gone", ONES)
        store.delete_tenant("gone")
        store.delete_sub_tenant("t", "a")
    with ingot.open(data) as store:
        assert list(store.tenants()) == ["t"]
        assert store.sub_tenants("t") == ["b", "default"]
        store.insert("t", ONES[:1], file_id="s", sub_tenant_id="a")
        assert store.stats("t").sub_tenants == {"a": 1, "b": 3, "default": 0}


def test_deletions_wait_for_nobody_who_waits_for_them(store: ingot.Store) -> None:
    """Uploads to one tenant from more threads than the store has for them, while it is deleted again and again."""
    over = threading.Event()

    def upload(number: int) -> None:
        while not over.is_set():
            try:
                store.insert("t", ONES, file_id=f"s{number}", sub_tenant_id=f"sub{number % 2}")
            except errors.TenantNotFound:
                continue

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    deleted = 0
    try:
        while deleted < 50:
            try:
                store.delete_tenant("t")
            except errors.TenantNotFound:
                continue
            deleted += 1
    finally:
        over.set()
        for thread in threads:
            thread.join()
