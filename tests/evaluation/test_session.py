"""The interactive session: every command, right and wrong."""

import numpy as np
import polars as pl
import pytest

from recsec.data.catalog import Catalog
from recsec.errors import TargetError
from recsec.evaluation.session import SESSION_HELP, Session


@pytest.fixture
def catalog() -> Catalog:
    titles = [
        "Toy Story (1995)",
        "Misérables, Les (1995)",
        "Story of Us, The (1999)",
        "Heat (1995)",
    ]
    return Catalog(
        pl.DataFrame(
            {
                "id": [1, 2, 73, 6],
                "title": titles,
                "genres": [["Animation"], ["Drama"], ["Comedy", "Drama"], []],
                "year": [1995, 1995, 1999, None],
            },
            schema_overrides={"genres": pl.List(pl.String)},
        )
    )


@pytest.fixture
def session(catalog: Catalog) -> Session:
    """A recommender that lists what is left, in catalog order."""

    def rest(histories: np.ndarray, k: int) -> np.ndarray:
        left = [item for item in (1, 2, 3, 4) if item not in histories[0]][:k]
        return np.array([left + [0] * (k - len(left))])

    return Session(rest, catalog)


def test_search_ignores_case_and_accents(session: Session) -> None:
    assert session.run("search MISERABLES").items == (2,)
    assert session.run("search misérables").items == (2,)
    assert session.run("search les mis").items == (2,)


def test_search_puts_titles_that_begin_so_first(session: Session) -> None:
    assert session.run("search story").items == (3, 1)
    assert session.run("search story toy").items == (1,)


def test_search_without_result_or_words(session: Session) -> None:
    assert session.run("search zzz").message == "no title holds 'zzz'"
    assert not session.run("search").ok


def test_add_show_remove_clear(session: Session) -> None:
    assert session.run("add 1 73").history == (1, 3)
    assert session.run("add 2").message == "3 in the history"
    assert session.run("show").items == (1, 3, 2)
    assert session.run("clear").history == ()
    assert "empty" in session.run("show").message


def test_remove_takes_a_number_as_an_index_first(session: Session) -> None:
    session.run("add 6 1")
    removed = session.run("remove 1")  # the first of the history, which is item 6
    assert removed.items == (4,)
    assert removed.history == (1,)


def test_remove_with_id_forces_an_id(session: Session) -> None:
    session.run("add 6 1")
    assert session.run("remove id:1").history == (4,)


def test_remove_takes_a_number_beyond_the_history_as_an_id(session: Session) -> None:
    session.run("add 1 6")
    assert session.run("remove 6").history == (1,)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("dance", "no command 'dance'; known: search"),
        ("add", "add needs an item id"),
        ("add 999", "999"),
        ("add one", "'one' is not an item id"),
        ("add 1 999", "999"),
        ("remove", "remove needs"),
        ("remove 0", "0"),
        ("remove 6", "'Heat (1995)' is not in the history"),
        ("remove -1", "-1"),
        ("recommend many", "takes a number of items"),
        ("recommend 0", "takes a number of items"),
        ("recommend ²", "takes a number of items"),
        ("clear all", "clear takes no words"),
        ("show x", "show takes no words"),
    ],
)
def test_wrong_words_give_a_reply_and_change_nothing(
    session: Session, line: str, says: str
) -> None:
    session.run("add 2")
    reply = session.run(line)
    assert not reply.ok
    assert says in reply.message
    assert reply.history == (2,)
    assert not reply.done


def test_recommend_leaves_the_history_out(session: Session) -> None:
    session.run("add 1")
    assert session.run("recommend").items == (2, 3, 4)
    assert session.run("recommend 2").items == (2, 3)
    assert session.run("recommend 9999999999999").items == (2, 3, 4)


def test_recommend_on_an_empty_history_says_so(session: Session) -> None:
    reply = session.run("recommend")
    assert reply.items == (1, 2, 3, 4)
    assert "empty" in reply.message


def test_popular_uses_counts_or_says_that_it_cannot(session: Session, catalog: Catalog) -> None:
    assert "without data" in session.run("popular").message
    counted = Session(session.answer, catalog, counts=np.array([0, 3, 9, 1, 4]))
    assert counted.run("popular 3").items == (2, 4, 1)


def test_a_failing_recommender_does_not_end_the_session(catalog: Catalog) -> None:
    def broken(histories: np.ndarray, k: int) -> np.ndarray:
        raise TargetError("the server is gone")

    reply = Session(broken, catalog).run("recommend")
    assert (reply.ok, reply.message) == (False, "the server is gone")


def test_help_names_every_command(session: Session) -> None:
    text = session.run("help").message
    for words in SESSION_HELP:
        assert words in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_words_for_leaving_and_silence(session: Session) -> None:
    assert session.run("exit").done
    assert session.run("QUIT").done
    assert session.run("   ") is None
    assert session.run("# a comment") is None


def test_reply_as_json_has_ids_of_the_outside(session: Session, catalog: Catalog) -> None:
    session.run("add 73")
    assert session.run("show").to_json(catalog) == {
        "command": "show",
        "ok": True,
        "error": None,
        "message": "",
        "items": [
            {
                "id": 73,
                "title": "Story of Us, The (1999)",
                "genres": ["Comedy", "Drama"],
                "year": 1999,
            }
        ],
        "history": [73],
    }


def test_text_ids_may_hold_spaces() -> None:
    session = Session(lambda h, k: h, Catalog.from_ids(["red shoe", "red", "id:x"]))
    assert session.run("add red shoe").history == (1,)
    assert session.run("add red").history == (1, 2)
    assert session.run("remove red shoe").history == (2,)
