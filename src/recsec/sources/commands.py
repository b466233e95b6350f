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
        way: how to come by what it needs, where that is not plain.
    """

    words: str
    threat: Threat
    needs: frozenset[Capability]
    option: str = "--model"
    way: str = ""


def _command(
    words: str, threat: Threat, *need: Capability, option: str = "--model", way: str = ""
) -> Command:
    return Command(words=words, threat=threat, needs=frozenset(need), option=option, way=way)


OWN = (
    "recsec train encoder --data DATA --out DIR makes one; with --set backbone=hf:FOLDER "
    "--set epochs=0 --set size=224 of a pretrained network"
)
OTHERS = (
    "--attack square asks for scores or lists, --attack transfer searches on surrogates of its "
    "own (--set 'surrogates=[\"hf:FOLDER\"]')"
)

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
        _command("try", "extraction", "ids"),
        _command("target check photos", "evasion", "ids", option=""),
        _command("evaluate photos", "evasion", "embeddings"),
        _command("evaluate --attack pgd photos", "evasion", "weights", way=OWN),
        _command("similar", "evasion", "embeddings"),
        _command("evade", "evasion", "ids"),
        _command("evade --attack transfer", "evasion", "ids"),
        _command("evade --attack apgd", "evasion", "gradients", way=OTHERS),
        _command("evade --goal hub", "evasion", "embeddings"),
        _command("screen", "evasion", "embeddings"),
        _command("certify", "evasion", "embeddings"),
        _command("audit photos", "evasion", "ids"),
        _command("harden photos", "evasion", "weights", way=OWN),
        _command("try photos", "evasion", "embeddings"),
    )
}
"""By words. A row for a command on photos that also exists for sequences ends in ``photos``."""


def lacking(command: str, gives: Collection[Capability]) -> list[Capability]:
    """What a command needs beyond ``gives``, in the order of the vocabulary."""
    missing = COMMANDS[command].needs - set(gives)
    return [one for one in CAPABILITIES if one in missing]


def needs(command: str, spec: str, gives: Collection[Capability], *, said: str = "") -> None:
    """Say at once what a source cannot do for a command.

    Args:
        command: a key of ``COMMANDS``.
        spec: the user's words for the source.
        gives: what it can do.
        said: what to call the command; as the table does by default.

    Raises:
        UsageError: it cannot do all that the command needs; the hint names what can.
    """
    row = COMMANDS[command]
    who = f"recsec {said or command.removesuffix(' photos')}"
    source = f"{row.option} {spec}".strip()
    require(row.needs, source, gives, who=who, threat=row.threat, way=row.way)


def require(
    need: Collection[Capability],
    source: str,
    gives: Collection[Capability],
    *,
    who: str,
    threat: Threat,
    way: str = "",
) -> None:
    """``needs`` for whoever is no command, such as a guard.

    Args:
        need: what is asked for.
        source: what to call the source.
        gives: what it can do.
        who: asks for it.
        threat: which kinds of sources the hint may offer.
        way: what the hint says beside.

    Raises:
        UsageError: it cannot do all that is asked for.
    """
    missing = [SAID[one] for one in CAPABILITIES if one in need and one not in gives]
    if missing:
        raise UsageError(
            f"{source}: {who} needs {' and '.join(missing)}, and this gives "
            f"{', '.join(SAID[one] for one in CAPABILITIES if one in gives) or 'nothing'}",
            hint=f"give {offered(threat, need)}" + (f"; {way}" if way else ""),
        )


def refuse_source(command: str, spec: str, *, said: str = "") -> None:
    """``needs`` by the words alone, before anything is opened."""
    needs(command, spec, kind_of_source(spec, COMMANDS[command].threat).gives, said=said)
