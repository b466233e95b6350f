"""One store, two databases: SQLite and a real PostgreSQL behave alike."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from backends import Server, new_database
from sqlalchemy import inspect, text
from tests.serving.state.conftest import CHAIN, Opened
from waiting import until

from recsec.errors import ConfigError, RunError
from recsec.serving.state import Allowed, Decision, Kept, Key, SqlStore, migrations, tables


def decision(id: str, *, at: float = 1.0, rule: str = "haste", subject: str = "x") -> Decision:
    return Decision(
        id=id,
        scope="account",
        subject=subject,
        rule=rule,
        action="block",
        enforced=True,
        at=at,
        until=at + 60,
        evidence={"p_values": {"combined": 0.001}},
    )


KEY = Key(
    id="k1",
    name="shop",
    role="client",
    salt=bytes(range(16)),
    hash=bytes(32),
    rate="5/second",
    k=7,
    created=2.0,
    scores=True,
)


def test_everything_comes_back_as_it_was_kept(opened: Opened) -> None:
    store, other = opened(), opened()
    first = store.decide(decision("d-1"))
    assert first.id == "d-1"
    store.add_key(KEY)
    store.used_keys({"k1": 9.0})
    store.allow(Allowed("a", None, "partner"), at=3.0, actor="ann")
    store.allow(Allowed("a", 50.0, "partner, for a while"), at=4.0, actor="ann")
    store.keep({"b": Kept([3, 4], [1.0, 2.5], 0.5)})
    store.keep({"b": Kept([3, 4, 5], [1.0, 2.5, 3.0], 0.5), "c": Kept([], [], 1.0)})
    found = other.decision("d-1")
    assert found is not None
    assert vars(found) == {**vars(decision("d-1")), "revision": 1}
    assert other.known_keys() == [Key(**{**vars(KEY), "used": 9.0})]
    assert other.allowed() == [Allowed("a", 50.0, "partner, for a while")]
    assert other.kept("b") == Kept([3, 4, 5], [1.0, 2.5, 3.0], 0.5)
    assert other.accounts() == 2
    assert store.lift("d-1", at=5.0, actor="ann", reason="appeal")
    assert not other.lift("d-1", at=6.0, actor="ann", reason="appeal")
    assert [one.lifted for one in other.decisions(since=1)] == [5.0]
    assert other.forbid("a", at=7.0, actor="ann")
    assert other.revoke_key("k1", at=8.0)
    assert not other.revoke_key("k1", at=8.0)
    kinds = [one.kind for one in other.trail()]
    assert kinds == ["decision", "key", "allow", "allow", "lift", "forbid", "revoke"]
    assert store.verify() == other.verify() == []


def test_two_who_decide_at_once_make_one_decision_and_one_unbroken_trail(opened: Opened) -> None:
    stores = [opened() for _ in range(4)]
    start, held = threading.Barrier(4), []

    def race(at: int) -> None:
        start.wait()
        for number in range(5):
            made = decision(f"d-{at}-{number}", subject=f"subject {number}")
            held.append((number, stores[at].decide(made).id))

    racing = [threading.Thread(target=race, args=(at,)) for at in range(4)]
    for one in racing:
        one.start()
    for one in racing:
        one.join()
    assert len(set(held)) == 5, "each subject has one decision, and all know it"
    assert len(stores[0].decisions()) == 5
    assert stores[0].verify() == []
    again = decision("d-late", at=100.0, subject="subject 0")
    assert stores[1].decide(again).id == "d-late", "the first has ended by then"
    assert stores[1].decide(again).id == "d-late", "written twice, as after a lost answer"
    assert len(stores[0].decisions()) == 6


def columns(store: SqlStore) -> dict[str, set[str]]:
    found = inspect(store._engine)
    return {
        name: {column["name"] for column in found.get_columns(name)}
        for name in found.get_table_names()
        if name != "alembic_version"
    }


def test_tables_go_forward_and_back_and_keep_what_they_hold(opened: Opened) -> None:
    store = opened()
    store.decide(decision("d-1"))
    store.add_key(KEY)
    newest = columns(store)
    assert newest == {
        name: {column.name for column in table.columns}
        for name, table in tables.metadata.tables.items()
    }
    store.migrate("0001")
    assert "marks" not in columns(store)
    assert "scores" not in columns(store)["keys"]
    with store._engine.begin() as base:  # as a database of before migrations
        base.execute(text("DROP TABLE alembic_version"))
        assert migrations.form(base) == "0001"
    again = opened()
    assert columns(again) == newest
    with again._engine.connect() as base:
        differs = compare_metadata(MigrationContext.configure(base), tables.metadata)
    assert [one for one in differs if "alembic_version" not in str(one)] == []
    assert [one.id for one in again.decisions()] == ["d-1"]
    assert again.known_keys() == [Key(**{**vars(KEY), "scores": False})]
    assert again.verify() == []
    with again._engine.begin() as base:
        base.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(RunError, match="form 9999, this recsec knows"):
        opened()


def test_a_database_of_another_secret_is_refused(opened: Opened, tmp_path: Path) -> None:
    place = opened().name
    if place.endswith("service.sqlite"):
        place = str(Path(place).parent)
    with pytest.raises(ConfigError, match="another secret"):
        SqlStore(place, bytes(32))


def test_an_address_that_is_none_is_refused_without_its_password(tmp_path: Path) -> None:
    for place in ("mysql://a@b/c", "postgresql://a:b:c/d", "redis://localhost"):
        with pytest.raises(ConfigError):
            SqlStore(place, CHAIN)
    with pytest.raises(RunError) as caught:
        SqlStore("postgresql://recsec:hush@127.0.0.1:1/none", CHAIN)
    assert "hush" not in str(caught.value)
    assert "does not answer" in str(caught.value)


def test_a_server_that_comes_back_is_used_again(postgres: Server) -> None:
    store = SqlStore(new_database(postgres), CHAIN)
    store.decide(decision("d-1"))
    postgres.kill()
    with pytest.raises(Exception, match="does not answer"):
        store.revision()
    postgres.start()

    def answers() -> bool:
        with suppress(RunError):
            return store.revision() == 1
        return False

    until(answers)
    assert [one.id for one in store.decisions()] == ["d-1"]
    store.close()
