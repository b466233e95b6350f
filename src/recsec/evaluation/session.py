"""An interactive session with a recommender: a command in, a reply out. Nothing is printed here."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from recsec.data.catalog import Catalog
from recsec.data.sequences import pad
from recsec.errors import RecsecError, UsageError
from recsec.evaluation.answers import fit_lists
from recsec.types import Answerer, IntArray, ItemId

__all__ = ["SESSION_HELP", "Reply", "Session", "plain_text"]

SESSION_HELP = {
    "search <words>": "items whose title holds all the words",
    "add <id>": "append an item to the history (several ids are allowed)",
    "remove <index or id>": "take one out; a number is an index first, id:1 an id",
    "clear": "start over with an empty history",
    "recommend [k]": "the best items after this history",
    "show": "the history, oldest first",
    "popular [k]": "what most people chose",
    "help": "these words",
    "exit": "leave",
}
FOUND = 20
FORCED = "id:"


@dataclass(frozen=True)
class Reply:
    """What a command brought.

    Attributes:
        command: the command word, as understood.
        ok: False when the words were wrong or the recommender failed.
        message: one line for the reader; the error where ``ok`` is False.
        items: catalog indices to show, in order.
        history: catalog indices of the history afterwards.
        done: the session is over.
    """

    command: str
    ok: bool = True
    message: str = ""
    items: tuple[int, ...] = ()
    history: tuple[int, ...] = ()
    done: bool = False

    def to_json(self, catalog: Catalog) -> dict[str, Any]:
        """One object with external ids, titles, genres and years."""
        return {
            "command": self.command,
            "ok": self.ok,
            "error": None if self.ok else self.message,
            "message": self.message if self.ok else "",
            "items": [item_json(catalog, item) for item in self.items],
            "history": catalog.external(np.array(self.history, dtype=np.int64)),
        }


def item_json(catalog: Catalog, item: int) -> dict[str, Any]:
    """Id, title, genres and year (null where unknown) of one catalog index."""
    year = int(catalog.years[item])
    return {
        "id": catalog.external(np.array([item]))[0],
        "title": catalog.title(item),
        "genres": catalog.genres[item - 1],
        "year": year or None,
    }


def plain_text(text: str) -> str:
    """Without case and accents, for searching.

    >>> plain_text("Les Misérables")
    'les miserables'
    """
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(char for char in parts if not unicodedata.combining(char))


@dataclass
class Session:
    """One visitor's history and the recommender that answers.

    Attributes:
        answer: gives lists for histories, history items left out.
        catalog: the items.
        counts: ``(N + 1,)`` how often each item was chosen, for ``popular``; None where unknown.
        k: default list length.
        history: catalog indices, oldest first.
    """

    answer: Answerer
    catalog: Catalog
    counts: IntArray | None = None
    k: int = 10
    history: list[int] = field(default_factory=list)

    def run(self, line: str) -> Reply | None:
        """Carry out one line. None for an empty line or a ``#`` comment.

        Wrong words, unknown ids and a failing recommender give a reply with ``ok`` False; the
        history is then as before.
        """
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            return None
        name = {"quit": "exit", "?": "help"}.get(word.lower(), word.lower())
        commands = {
            "search": self._search,
            "add": self._add,
            "remove": self._remove,
            "clear": self._clear,
            "recommend": self._recommend,
            "show": self._show,
            "popular": self._popular,
            "help": self._help,
            "exit": self._exit,
        }
        try:
            if name not in commands:
                raise UsageError(f"no command {word!r}; known: {', '.join(commands)}")
            return commands[name](rest.strip())
        except RecsecError as error:
            return self._reply(name, ok=False, message=error.message)

    def _reply(self, command: str, **fields: Any) -> Reply:
        return Reply(command, history=tuple(self.history), **fields)

    @cached_property
    def _titles(self) -> list[str]:
        return [plain_text(title) for title in self.catalog.titles]

    def _search(self, rest: str) -> Reply:
        query = plain_text(rest)
        words = query.split()
        if not words:
            raise UsageError("search needs words of a title, e.g. search toy story")
        found = [
            (not title.startswith(query), at)
            for at, title in enumerate(self._titles, start=1)
            if all(word in title for word in words)
        ]
        shown = tuple(at for _, at in sorted(found)[:FOUND])
        message = f"{len(found)} found" if found else f"no title holds {rest!r}"
        if len(found) > FOUND:
            message += f", the first {FOUND} shown"
        return self._reply("search", message=message, items=shown)

    def _item(self, text: str) -> int:
        """Catalog index of an id as typed."""
        identifier: ItemId = self.catalog.parse_id(text)
        return int(self.catalog.index([identifier])[0])

    def _add(self, rest: str) -> Reply:
        if not rest:
            raise UsageError("add needs an item id; search shows ids")
        words = rest.split()
        if len(words) > 1 and rest in self.catalog.ids:
            words = [rest]  # an id that holds spaces
        items = [self._item(word.removeprefix(FORCED)) for word in words]
        self.history.extend(items)
        return self._reply("add", message=f"{len(self.history)} in the history", items=tuple(items))

    def _remove(self, rest: str) -> Reply:
        if not rest:
            raise UsageError("remove needs an index of the history or an item id")
        if rest.isdecimal() and 1 <= int(rest) <= len(self.history):
            at = int(rest) - 1
        else:
            item = self._item(rest.removeprefix(FORCED))
            if item not in self.history:
                raise UsageError(f"{self.catalog.title(item)!r} is not in the history")
            at = len(self.history) - 1 - self.history[::-1].index(item)
        gone = self.history.pop(at)
        message = f"{len(self.history)} in the history"
        return self._reply("remove", message=message, items=(gone,))

    def _clear(self, rest: str) -> Reply:
        self._no_words("clear", rest)
        self.history.clear()
        return self._reply("clear", message="the history is empty")

    def _recommend(self, rest: str) -> Reply:
        k = self._length("recommend", rest)
        note = "" if self.history else "the history is empty: what anybody would be shown"
        return self._reply("recommend", message=note, items=self._list(self.history, k))

    def _show(self, rest: str) -> Reply:
        self._no_words("show", rest)
        message = "" if self.history else "the history is empty; add <id>"
        return self._reply("show", message=message, items=tuple(self.history))

    def _popular(self, rest: str) -> Reply:
        k = self._length("popular", rest)
        if self.counts is None:
            note = "counts are unknown without data: the list for an empty history"
            return self._reply("popular", message=note, items=self._list([], k))
        order = np.argsort(-self.counts[1:], kind="stable")[:k] + 1
        return self._reply("popular", items=tuple(int(item) for item in order))

    def _help(self, _: str) -> Reply:
        width = max(len(words) for words in SESSION_HELP)
        text = "\n".join(f"{words:<{width}}  {what}" for words, what in SESSION_HELP.items())
        return self._reply("help", message=text)

    def _exit(self, _: str) -> Reply:
        return self._reply("exit", done=True)

    def _list(self, history: list[int], k: int) -> tuple[int, ...]:
        lists = fit_lists(self.answer(pad([history]), k), rows=1, k=k)
        return tuple(int(item) for item in lists[0] if item > 0)

    def _length(self, command: str, rest: str) -> int:
        if not rest:
            return min(self.k, len(self.catalog))
        if not rest.isdecimal() or int(rest) == 0:
            raise UsageError(f"{command} takes a number of items, got {rest!r}")
        return min(int(rest), len(self.catalog))

    @staticmethod
    def _no_words(command: str, rest: str) -> None:
        if rest:
            raise UsageError(f"{command} takes no words, got {rest!r}")
