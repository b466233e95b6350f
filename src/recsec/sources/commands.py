"""The commands that take a source, and what each must be able to ask of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from recsec.errors import UsageError
from recsec.sources.capabilities import CAPABILITIES, SAID, Capability
from recsec.sources.kinds import Threat, kind_of_source, offered

__all__ = ["COMMANDS", "Command", "lacking", "needs", "refuse_source", "require"]


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command, or what an option makes of it.

    Attributes:
        words: the command as it is typed, with the option that decides if one does.
        threat: of which sources.
        needs: what the source must be able to do.
        option: which option names the source; empty where it is an argument.
    """

    words: str
    threat: Threat
    needs: frozenset[Capability]
    option: str = "--model"


def _command(words: str, threat: Threat, *need: Capability, option: str = "--model") -> Command:
    return Command(words=words, threat=threat, needs=frozenset(need), option=option)


COMMANDS: Final[dict[str, Command]] = {
    command.words: command
    for command in (
        _command("target check", "extraction", "ids", option=""),
        _command("evaluate", "extraction", "ids"),
        _command("evaluate --guard truncate", "extraction", "ids"),
        _command("evaluate --guard misinform", "extraction", "all-scores"),
        _command("evaluate --unseen", "extraction", "weights"),
        _command("recommend", "extraction", "ids"),
        _command("compare", "extraction", "ids"),
        _command("extract", "extraction", "ids"),
        _command("extract --guard truncate", "extraction", "ids"),
        _command("extract --guard misinform", "extraction", "all-scores"),
        _command("audit", "extraction", "ids"),
        _command("verify", "extraction", "ids", option="--suspect"),
        _command("data traffic", "extraction", "ids"),
        _command("detect fit", "extraction", "ids"),
        _command("harden", "extraction", "weights"),
        _command("evaluate photos", "evasion", "embeddings"),
        _command("similar", "evasion", "embeddings"),
        _command("evade", "evasion", "embeddings"),
        _command("screen", "evasion", "embeddings"),
        _command("certify", "evasion", "embeddings"),
        _command("audit photos", "evasion", "embeddings"),
        _command("harden photos", "evasion", "weights"),
    )
}
"""By words. A row for a command on photos that also exists for sequences ends in ``photos``."""


def lacking(command: str, gives: Collection[Capability]) -> list[Capability]:
    """What a command needs beyond ``gives``, in the order of the vocabulary."""
    missing = COMMANDS[command].needs - set(gives)
    return [one for one in CAPABILITIES if one in missing]


def needs(command: str, spec: str, gives: Collection[Capability]) -> None:
    """Say at once what a source cannot do for a command.

    Args:
        command: a key of ``COMMANDS``.
        spec: the user's words for the source.
        gives: what it can do.

    Raises:
        UsageError: it cannot do all that the command needs; the hint names what can.
    """
    row = COMMANDS[command]
    who = f"recsec {command.removesuffix(' photos')}"
    require(row.needs, f"{row.option} {spec}".strip(), gives, who=who, threat=row.threat)


def require(
    need: Collection[Capability],
    source: str,
    gives: Collection[Capability],
    *,
    who: str,
    threat: Threat,
) -> None:
    """``needs`` for whoever is no command, such as a guard.

    Args:
        need: what is asked for.
        source: what to call the source.
        gives: what it can do.
        who: asks for it.
        threat: which kinds of sources the hint may offer.

    Raises:
        UsageError: it cannot do all that is asked for.
    """
    missing = [SAID[one] for one in CAPABILITIES if one in need and one not in gives]
    if missing:
        raise UsageError(
            f"{source}: {who} needs {' and '.join(missing)}, and this gives "
            f"{', '.join(SAID[one] for one in CAPABILITIES if one in gives) or 'nothing'}",
            hint=f"give {offered(threat, need)}",
        )


def refuse_source(command: str, spec: str) -> None:
    """``needs`` by the words alone, before anything is opened."""
    needs(command, spec, kind_of_source(spec, COMMANDS[command].threat).gives)
