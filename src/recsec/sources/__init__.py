"""What ``--model`` takes, what each source can do, and what each command needs of it.

Data only: nothing is imported or opened here, so ``--help`` can read it.
"""

from recsec.sources.capabilities import CAPABILITIES, SAID, Capability
from recsec.sources.commands import COMMANDS, Command, lacking, needs, refuse_source, require
from recsec.sources.kinds import KINDS, SourceKind, Threat, is_folder, kind_of_source, offered

__all__ = [
    "CAPABILITIES",
    "COMMANDS",
    "KINDS",
    "SAID",
    "Capability",
    "Command",
    "SourceKind",
    "Threat",
    "is_folder",
    "kind_of_source",
    "lacking",
    "needs",
    "offered",
    "refuse_source",
    "require",
]
