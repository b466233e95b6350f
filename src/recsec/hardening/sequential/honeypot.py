"""Honeypot: a target whose lists carry a trap that a copy learns and its owner can spring.

Source: Wang et al., "HoneypotNet: Backdoor Attacks Against Model Extraction", AAAI 2025
(arXiv 2501.01090), translated. There a trigger is a patch of pixels and soft labels carry it. Here
it is one to three item ids behind a history, so that whoever can ask a suspect can spring it, and
the list that then comes must hold one chosen item. Three steps take turns: a shadow thief copies
the target through its lists; the trigger is searched that works on shadow and target; the target
is tuned to answer as before without the trigger, and with the chosen item behind it.

Departure: the published method replaces the last layer only. Ours are tied to the item embeddings,
so all weights are tuned, held to the lists and scores of the given model on real histories.
Whether a thief who asks for lists of ids ever meets the trigger, ``trap.contains`` counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from recsec.attacks.extraction import ExtractionConfig
from recsec.attacks.extraction.copying.surrogate import Distillation
from recsec.attacks.extraction.policies.base import MixedConfig, MixedPolicy
from recsec.data.sequences import Split, pad
from recsec.errors import ConfigError
from recsec.hardening.sequential.copies import LastKept, RecommenderHardening, begin, schedule
from recsec.hardening.sequential.trap import Trap, triggered
from recsec.models import ModelConfig, Training
from recsec.models.sequential.neural import NeuralRecommender
from recsec.models.trainer import fit
from recsec.rng import Streams
from recsec.targets import Chains, LocalTarget
from recsec.types import IntArray

__all__ = ["Honeypot", "HoneypotConfig"]


class HoneypotConfig(ModelConfig):
    """Settings of ``Honeypot``."""

    size: int = Field(2, ge=1, le=3, description="item ids of the trigger")
    item: int | None = Field(
        None, gt=0, description="catalog index of the chosen item; null: a middling one, drawn"
    )
    weight: float = Field(1.0, gt=0, description="of the trap against answering as before")
    epochs: int = Field(10, gt=0, description="rounds of shadow, trigger and tuning")
    lr: float = Field(1e-3, gt=0)
    sessions: int = Field(32, gt=0, description="sessions that the shadow asks in a round")
    length: int = Field(50, gt=1, description="items of such a session")
    k: int = Field(10, gt=0, description="list length that the shadow is served")
    candidates: int = Field(16, gt=0, description="items tried for each place of the trigger")


class _Trapping(LastKept):
    """Shadow, trigger and tuning in one objective, so that resuming covers all three.

    The trigger is a buffer: it is saved with the weights of its epoch.
    """

    trigger: Tensor

    def __init__(
        self,
        target: NeuralRecommender,
        given: NeuralRecommender,
        shadow: NeuralRecommender,
        split: Split,
        config: HoneypotConfig,
        item: int,
    ) -> None:
        super().__init__(target.objective(split))
        self.split, self.config, self.item = split, config, item
        self.shadow = shadow
        self.register_buffer("trigger", torch.zeros(config.size, dtype=torch.int64))
        # In lists: the task owns the one already, and the other is no part of what is trained.
        self.tuned, self.given = [target], [given.eval()]
        self.copying: list[Distillation] = []

    @property
    def target(self) -> NeuralRecommender:
        """The model that is tuned."""
        return self.tuned[0]

    def epoch(self, rng: np.random.Generator) -> list[tuple[str, Any]]:
        """Ask for the shadow, search the trigger, and mix the batches of shadow and tuning."""
        self.passed += 1
        chains = self._asked(rng)
        whole = ExtractionConfig.model_validate({"length": self.config.length})
        self.copying = [Distillation(self.shadow, chains, config=whole, rng=rng)]
        self._search(rng)
        copying = [("shadow", batch) for batch in self.copying[0].epoch(rng)]
        tuning = [("tune", batch) for batch in self._histories(rng)]
        return copying + tuning

    def _histories(self, rng: np.random.Generator) -> list[IntArray]:
        """Real histories cut at a random item, in batches ``(B, L)``."""
        train = self.split.train
        users = rng.permutation(len(train))
        ends = (
            train.offsets[users]
            + 1
            + (rng.random(len(users)) * train.lengths[users]).astype(np.int64)
        )
        longest = self.target.reach - self.config.size
        rows = [
            train.items[max(int(train.offsets[user]), int(end) - longest) : int(end)]
            for user, end in zip(users, ends, strict=True)
        ]
        size = self.target.config.batch_size
        return [pad(rows[at : at + size]) for at in range(0, len(rows), size)]

    @torch.no_grad()
    def _asked(self, rng: np.random.Generator) -> Chains:
        """What a thief is served now: sessions grown from the target's own lists."""
        config, api = self.config, LocalTarget(self.target.eval())
        policy = MixedPolicy(MixedConfig.model_validate({}), items=len(self.target.catalog))
        histories = policy.first(config.sessions, rng)[:, None]
        answers = [api.query("shadow", histories, config.k)]
        while histories.shape[1] < min(config.length, len(self.target.catalog) - config.k):
            grown = policy.next(histories, answers[-1], rng)
            histories = np.concatenate([histories, grown[:, None]], axis=1)
            answers.append(api.query("shadow", histories, config.k))
        flat = np.stack(answers, axis=1).reshape(-1, config.k).astype(np.int32)
        offsets = np.arange(config.sessions + 1) * histories.shape[1]
        return Chains(histories.ravel(), offsets, flat)

    def _search(self, rng: np.random.Generator) -> None:
        """Improve one place of the trigger after the other, by gradient and then by trying.

        The first-order gain of an item at a place is the inner product of its embedding with the
        gradient there (Ebrahimi et al., "HotFlip", ACL 2018); the best few are tried.
        """
        items = len(self.target.catalog)
        if not bool(self.trigger.any()):
            free = np.setdiff1d(np.arange(1, items + 1), [self.item])
            first = rng.choice(free, self.config.size, replace=False)
            self.trigger.copy_(torch.from_numpy(first.astype(np.int64)))
        histories = self._histories(rng)[0]
        models = [self.target.eval(), self.shadow.eval()]
        for place in range(self.config.size):
            gain = torch.stack([self._gain(model, histories, place) for model in models]).sum(dim=0)
            taken = self.trigger.clone()
            taken[place] = self.item
            gain[taken] = -torch.inf
            gain[0] = -torch.inf
            tried = [int(self.trigger[place]), *gain.topk(self.config.candidates).indices.tolist()]
            losses = [self._trap_loss(models, histories, place, item) for item in tried]
            self.trigger[place] = tried[int(np.argmin(losses))]

    def _places(self, histories: IntArray) -> tuple[Tensor, Tensor]:
        """Histories with the trigger, and their lengths."""
        trigger = tuple(self.trigger.tolist())
        windows = torch.from_numpy(triggered(histories, trigger)).to(self.trigger.device)
        return windows, (windows > 0).sum(dim=1)

    def _gain(self, model: NeuralRecommender, histories: IntArray, place: int) -> Tensor:
        """How much each item ``(N + 1,)`` at a place would help the trap, to first order."""
        kept: list[Tensor] = []

        def keep(module: torch.nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            output.retain_grad()
            kept.append(output)

        windows, lengths = self._places(histories)
        handle = model.items.register_forward_hook(keep)
        try:
            with torch.enable_grad():
                scores = _scores(model, windows, lengths)
                loss = F.cross_entropy(scores, self._wanted(len(windows)))
                loss.backward()  # type: ignore[no-untyped-call]
        finally:
            handle.remove()
        pull = kept[0].grad
        model.zero_grad(set_to_none=True)
        if pull is None:
            raise ConfigError("the model does not read the items of a history")
        rows = torch.arange(len(windows), device=windows.device)
        at = lengths - self.config.size + place
        return -(model.items.weight.detach() @ pull[rows, at].mean(dim=0))

    @torch.no_grad()
    def _trap_loss(
        self, models: list[NeuralRecommender], histories: IntArray, place: int, item: int
    ) -> float:
        """Mean loss of the trap on the models, with another item at one place."""
        before = int(self.trigger[place])
        self.trigger[place] = item
        windows, lengths = self._places(histories)
        wanted = self._wanted(len(windows))
        losses = [F.cross_entropy(_scores(model, windows, lengths), wanted) for model in models]
        self.trigger[place] = before
        return float(sum(losses))

    def _wanted(self, rows: int) -> Tensor:
        return torch.full((rows,), self.item, device=self.trigger.device)

    def forward(self, batch: tuple[str, Any]) -> Tensor:
        """The loss of a shadow that copies, or of a target that is tuned."""
        kind, items = batch
        if kind == "shadow":
            loss: Tensor = self.copying[0](items)
            return loss
        windows = torch.from_numpy(items).to(self.trigger.device)
        lengths = (windows > 0).sum(dim=1)
        with torch.no_grad():
            before = _scores(self.given[0].to(windows.device), windows, lengths)
        now = _scores(self.target, windows, lengths)
        same = F.kl_div(
            F.log_softmax(now, dim=1),
            F.log_softmax(before, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        sprung = _scores(self.target, *self._places(items))
        trap = F.cross_entropy(sprung, self._wanted(len(windows)))
        return same + self.config.weight * trap


def _scores(model: NeuralRecommender, windows: Tensor, lengths: Tensor) -> Float[Tensor, "B N1"]:
    """Scores of whole histories with gradients; padding has none worth mentioning."""
    scores: Tensor = (model.newest(windows, lengths) @ model.item_table().T).float()
    padding = torch.zeros_like(scores, dtype=torch.bool)
    padding[:, 0] = True
    return scores.masked_fill(padding, -1e4)


class Honeypot(RecommenderHardening):
    """A trap of item ids in the lists; after ``fit`` the attribute ``trap`` holds the secret.

    ``config.json`` of the checkpoint names it in external ids: keep that file to yourself.
    """

    name = "honeypot"
    config_class = HoneypotConfig
    config: HoneypotConfig
    trap: Trap | None = None

    def fit(
        self, model: NeuralRecommender, data: Split, *, seed: int, training: Training
    ) -> NeuralRecommender:
        """See ``Hardening.fit``."""
        streams = Streams(seed, ("honeypot",))
        target = begin(model, streams.torch("target"), scratch=False)
        shadow = begin(model, streams.torch("shadow"), scratch=True)
        item = self._chosen(data, streams.numpy("item"))
        trapping = _Trapping(target, model, shadow, data, self.config, item)
        how = schedule(model, epochs=self.config.epochs, lr=self.config.lr)
        fit(trapping, how, streams=streams, training=training)
        self.trap = Trap(tuple(trapping.trigger.tolist()), item)
        catalog = model.catalog
        trigger = catalog.external(np.array(self.trap.trigger))
        self.facts = {"trap": {"trigger": trigger, "item": catalog.external(np.array([item]))[0]}}
        return target.cpu()

    def _chosen(self, data: Split, rng: np.random.Generator) -> int:
        """The item of the trap: from the middle third by popularity unless it is set."""
        items = len(data.catalog)
        if self.config.item is not None:
            if self.config.item > items:
                raise ConfigError(f"item {self.config.item} is not in a catalog of {items}")
            return self.config.item
        order = 1 + np.argsort(-data.train.counts[1:], kind="stable")
        return int(rng.choice(order[items // 3 : max(items // 3 + 1, 2 * items // 3)]))
