"""What the trained models share: settings, the map from histories to scores, tensors in and out."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor, nn

from recsec.data.catalog import Catalog
from recsec.data.sequences import Split
from recsec.errors import CheckpointError
from recsec.models.base import Recommender, ScheduleConfig, Training
from recsec.models.sequential.objectives.next_item import NextItem
from recsec.models.sequential.objectives.ranking import Ranking
from recsec.models.tensors import unfilled
from recsec.models.trainer import fit
from recsec.rng import Streams
from recsec.types import IntArray

__all__ = [
    "Blocks",
    "CausalRecommender",
    "DropoutShare",
    "EmbeddingDim",
    "Heads",
    "MaxLength",
    "NeuralConfig",
    "NeuralRecommender",
]


EmbeddingDim = Annotated[int, Field(gt=0, le=65_536, description="width D of the representations")]
MaxLength = Annotated[
    int, Field(gt=0, le=1_000_000, description="newest items of a history that are used")
]
DropoutShare = Annotated[float, Field(ge=0, lt=1, description="share of values that are dropped")]
Blocks = Annotated[int, Field(gt=0, le=1000, description="layers of the transformer")]
Heads = Annotated[int, Field(gt=0, le=65_536, description="of attention; they divide D")]


class NeuralConfig(ScheduleConfig):
    """Settings of every model of sequences that is trained by gradients."""

    embedding_dim: EmbeddingDim = 64
    max_length: MaxLength = 200
    dropout: DropoutShare = 0.2
    batch_size: int = Field(64, gt=0, description="windows of max_length items per step")
    patience: int = Field(5, gt=0, description="epochs without a better NDCG@10 before stopping")


class NeuralRecommender(Recommender, nn.Module):
    """A recommender that represents a history by a vector and scores items by inner products."""

    config: NeuralConfig
    items: nn.Embedding
    """Input embeddings of the items, row 0 of padding: where gradients by items are read."""

    def __init__(self, catalog: Catalog, config: NeuralConfig) -> None:
        nn.Module.__init__(self)
        Recommender.__init__(self, catalog, config)

    def initialize(self, generator: torch.Generator) -> None:
        """Draw all weights anew: embeddings from a narrow truncated normal, matrices as Glorot and
        Bengio (2010), biases zero, norms one.
        """
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.trunc_normal_(module.weight, std=0.02, generator=generator)
            if isinstance(module, nn.Linear):
                nn.init.xavier_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def reach(self) -> int:
        """How many of the newest items of a history are used."""
        return self.config.max_length

    @abstractmethod
    def item_table(self) -> Float[Tensor, "N1 D"]:
        """Output embeddings: scores are inner products with a representation; row 0 is padding."""

    @abstractmethod
    def newest(self, windows: Int[Tensor, "B L"], lengths: Int[Tensor, " B"]) -> Tensor:
        """Representation ``(B, D)`` of whole histories, from which the next item is predicted.

        Args:
            windows: ``L <= reach``, zeros on the right.
            lengths: how many items each row holds; at least one unless the row is empty.
        """

    @abstractmethod
    def objective(self, split: Split) -> Ranking:
        """What training on a split minimizes."""

    @torch.no_grad()
    def last_hidden(self, histories: IntArray) -> Float[Tensor, "B D"]:
        """``newest`` of histories of any length, in evaluation mode, float32."""
        windows, used = self._newest_window(histories)
        device = self.item_table().device
        return self.newest(windows.to(device), used.to(device)).float()

    def _newest_window(self, histories: IntArray) -> tuple[Tensor, Tensor]:
        """The newest items that the model can see ``(B, W)`` and their number; evaluation mode."""
        lengths = (histories > 0).sum(axis=1)
        width = max(1, min(self.reach, int(lengths.max(initial=0))))
        columns = np.maximum(lengths - width, 0)[:, None] + np.arange(width)
        if histories.shape[1] == 0:
            windows = np.zeros((len(histories), 1), dtype=np.int64)
        else:
            last = histories.shape[1] - 1
            inside = columns < lengths[:, None]
            gathered = np.take_along_axis(histories, np.minimum(columns, last), axis=1)
            windows = np.where(inside, gathered, 0)
        self.eval()
        return torch.from_numpy(windows), torch.from_numpy(np.minimum(lengths, width))

    @torch.no_grad()
    def scores_of(self, hidden: Float[Tensor, "B D"]) -> Float[Tensor, "B N1"]:
        """Scores of all items, float32 on the CPU, column 0 at -inf."""
        scores = (hidden @ self.item_table().T).cpu()
        scores[:, 0] = float("-inf")
        return scores

    def scores(self, histories: IntArray) -> Float[Tensor, "B N1"]:
        """See ``Recommender.scores``."""
        return self.scores_of(self.last_hidden(histories))

    @classmethod
    def fit(cls, split: Split, config: Any, *, seed: int, training: Training) -> Self:
        """Train by ``objective``, weights from the seed."""
        streams = Streams(seed, (cls.name,))
        model = cls(split.catalog, config)
        model.initialize(streams.torch("initialization"))
        fit(model.objective(split), config, streams=streams, training=training)
        return model.cpu()

    def state(self) -> dict[str, Tensor]:
        """The parameters."""
        return {name: tensor.detach().cpu() for name, tensor in self.state_dict().items()}

    @classmethod
    def from_state(cls, catalog: Catalog, config: Any, state: dict[str, Tensor]) -> Self:
        """See ``Recommender.from_state``."""
        if not isinstance(config, NeuralConfig):
            raise CheckpointError(f"{cls.name} cannot be built from a {type(config).__name__}")
        with unfilled():  # settings of others take no memory
            model = cls(catalog, config)
        whole = [name for name, tensor in state.items() if not tensor.is_floating_point()]
        if whole:
            raise CheckpointError(
                f"the tensors do not fit a {cls.name}: {whole[0]} holds {state[whole[0]].dtype}, "
                "expected floating-point numbers"
            )
        try:
            model.load_state_dict(
                {name: tensor.to(torch.float32) for name, tensor in state.items()}, assign=True
            )
        except RuntimeError as error:
            raise CheckpointError(
                f"the tensors do not fit a {cls.name} with these settings: {error}"
            ) from error
        model.eval()
        return model


class CausalRecommender(NeuralRecommender):
    """A recommender whose representation after each item depends on nothing later.

    Causality lets one pass score every prefix: histories are padded on the right, and padding
    never reaches a real position.
    """

    @abstractmethod
    def hidden(self, windows: Int[Tensor, "B L"]) -> Float[Tensor, "B L D"]:
        """Representation after each item; ``L <= max_length``, zeros on the right."""

    def newest(self, windows: Int[Tensor, "B L"], lengths: Int[Tensor, " B"]) -> Tensor:
        """See ``NeuralRecommender.newest``; of an empty history, zeros."""
        rows = torch.arange(len(windows), device=windows.device)
        encoded = self.hidden(windows)[rows, lengths.clamp_min(1) - 1]
        return encoded * (lengths > 0)[:, None]

    @torch.no_grad()
    def prefix_scores(
        self, histories: IntArray, ends: Int[np.ndarray, "B T"]
    ) -> Float[Tensor, "B T N1"]:
        """What ``scores`` gives for the first ``ends`` items of each history, in one pass.

        Of a history longer than ``reach`` the newest items are encoded once, so short prefixes of
        it lose their oldest items.

        Args:
            histories: ``(B, L)`` int64 catalog indices, zeros on the right.
            ends: lengths of the prefixes, at least 1; of a history of n more than ``n - reach``.
        """
        windows, used = self._newest_window(histories)
        left_out = (histories > 0).sum(axis=1) - used.numpy()
        device = self.item_table().device
        hidden = self.hidden(windows.to(device)).float()
        at = torch.from_numpy(ends - left_out[:, None] - 1).to(device)
        picked = hidden.gather(1, at[:, :, None].expand(-1, -1, hidden.shape[2]))
        return self.scores_of(picked.flatten(0, 1)).view(*ends.shape, -1)

    def objective(self, split: Split) -> Ranking:
        """Predict the next item at every position of the training histories."""
        config = self.config
        return NextItem(self, split, max_length=config.max_length, batch_size=config.batch_size)
