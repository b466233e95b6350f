"""The commented plan that ``recsec audit init`` writes."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files

from recsec.audit.plan import parse_plan
from recsec.audit.threat import audits
from recsec.data import is_photos, load_photos, split_photos
from recsec.sources import Capability, is_folder
from recsec.targets import remembered
from recsec.targets.visual import is_search, open_source

__all__ = ["plan_for", "template"]

PAIRS = 50
"""At most, of photos of a first audit; a search is asked about fewer."""
ASKED = 40
"""Of none that succeeds, 35 show that the rate is below the gate's 0.1."""

HEAD = """# A plan for recsec audit, written for {model}
#
#   recsec audit FILE --out runs/first-audit
#
# recsec audit init without --model writes every key that a plan may have.

"""
SEQUENCES = """[target]
model = {model}
{data}{twins}

# What the thief meets instead, as further rows of the report:
# [[defense]]
# name = "truncate"
# guards = ["truncate:length=5"]                   # recsec list guards

[[extraction]]
policies = ["random", "autoregressive", "mixed"]   # recsec list policies
k = 10                                             # list length asked for
calls = [1000, 4000]                               # the first of the larger budget are the smaller
seeds = 0
length = 40
"""
OWN_TWIN = "twins = 1                                          # trained as the target was"
NAMED_TWIN = 'twins = { count = 1, model = "sasrec" }            # another model on the same data'
PHOTOS = """[visual]
data = {data}
pairs = {pairs}                                         # of photo and target item, at each eps

# The attacker of "transfer" trains this on the photos of the catalog, and asks nothing.
[visual.surrogate]
train = "resnet"
settings = {{ epochs = 5 }}

[[visual.models]]
name = "own"
model = {model}

# {knows}
[[evasion]]
attacks = {attacks}
eps = {eps}                                    # shares of the pixel range
"""
CONTROL = """
# Does an attack without gradients work at all? Else that it fails above proves nothing.
[[evasion]]
attacks = {attacks}
eps = 0.2
pairs = 10
"""
WHITE = "It shows gradients: the attacker of mi and auto has the encoder itself."
BLACK = "It shows vectors and no gradients: the attacker of square sees how near a photo is."
LISTS = "It shows lists of ids: the attacker of square uploads a photo and reads the list."


def template() -> str:
    """A TOML plan with every key, which runs unchanged on made-up data."""
    common = files("recsec.audit").joinpath("template.toml").read_text(encoding="utf-8")
    return common + "".join(audit.template for audit in audits().values())


def plan_for(model: str, data: str | None, *, authorised: bool = False) -> str:
    """A TOML plan that fits what a source can do, and runs unchanged; nothing is asked.

    Args:
        model: what ``--model`` takes: a recommender, or with photos an encoder or a search.
        data: the interactions or photos; None: those that a checkpoint remembers.
        authorised: the owner of a target beyond this machine agreed.

    Raises:
        UsageError: no data are named, and the source remembers none.
        RecsecError: the source or the data are missing or do not fit.
    """
    tables = _photos if data is not None and is_photos(data) else _sequences
    text = HEAD.format(model=model.replace("\n", " ")) + tables(model, data)
    plan = parse_plan(tomllib.loads(text))
    for audit in audits().values():
        if audit.asked(plan):
            audit.open(plan, authorised=authorised)
    return text


def _sequences(model: str, data: str | None) -> str:
    if data is None:
        remembered(model)
    return SEQUENCES.format(
        model=json.dumps(model),
        data="" if data is None else f"data = {json.dumps(data)}\n",
        twins=OWN_TWIN if is_folder(model) else NAMED_TWIN,
    )


def _photos(model: str, data: str | None) -> str:
    gives: frozenset[Capability] = frozenset({"ids"})
    if not is_search(model):
        gives = open_source(model).gives
    held = len(split_photos(load_photos(str(data))).test)
    if "gradients" in gives:
        knows, attacks, eps = WHITE, ["mi", "auto", "transfer"], [0.03, 0.05]
    elif "embeddings" in gives:
        knows, attacks, eps = BLACK, ["square-200", "transfer"], [0.03, 0.05]
    else:
        knows, attacks, eps = LISTS, ["square-100", "transfer"], [0.05]
    text = PHOTOS if "gradients" in gives else PHOTOS + CONTROL
    return text.format(
        model=json.dumps(model),
        data=json.dumps(data),
        pairs=min(PAIRS if "embeddings" in gives else ASKED, held),
        knows=knows,
        attacks=json.dumps(attacks),
        eps=json.dumps(eps),
    )
