"""The training loop: schedule, precision, early stopping, and resuming to the same bits.

The loop knows nothing of recommenders: an ``Objective`` says what a batch is, what the loss is and
how good the model has become. Every epoch draws from streams of its own, so the epoch number, the
weights and the optimizer are all that a resumed run needs.
"""

from __future__ import annotations

import json
import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from recsec.errors import CheckpointError, ConfigError
from recsec.models.base import Precision, Training
from recsec.models.dropout import Dropout
from recsec.models.neural import NeuralConfig
from recsec.rng import Streams
from recsec.runs import atomic_write_text

__all__ = ["Objective", "fit", "resolve_precision"]

GRADIENT_NORM = 5.0


class Objective(nn.Module, ABC):
    """What is trained, on what, towards what. Owns every module that resuming must cover."""

    @abstractmethod
    def epoch(self, rng: np.random.Generator) -> Sequence[Any]:
        """The batches of one epoch, in order; each is passed to ``forward``."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """The mean loss of a batch."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """How good the model is now; the first entry decides (higher is better)."""


@dataclass
class Position:
    """How far a training has come; everything but tensors."""

    epoch: int = 0
    best_epoch: int = 0
    best: float = -math.inf
    history: list[dict[str, Any]] = field(default_factory=list)


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of the matrix products on this device."""
    if precision == "float32":
        return torch.float32
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        found = torch.cpu.get_capabilities()
        fast = bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return torch.bfloat16 if fast or precision == "bfloat16" else torch.float32


def learning_rate(step: int, total: int, config: NeuralConfig) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = int(total * config.warmup)
    rise = min(1.0, (step + 1) / (warm + 1))
    return config.lr * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total))))


def _optimizer(objective: nn.Module, config: NeuralConfig) -> torch.optim.AdamW:
    """AdamW; vectors (biases, norms) are not decayed."""
    trained = [p for p in objective.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), fused=True)


def _save(
    folder: Path, position: Position, objective: Objective, best: dict[str, Tensor], optimizer: Any
) -> None:
    """Write the state of an epoch beside the older one, then swap: a kill leaves one of them."""
    fresh = folder / "writing"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file(dict(objective.state_dict()), fresh / "weights.safetensors")
    save_file(best, fresh / "best.safetensors")
    moments = {
        f"{index}.{name}": tensor
        for index, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }
    save_file(moments, fresh / "optimizer.safetensors")
    (fresh / "position.json").write_text(json.dumps(vars(position)))
    fresh.rename(folder / f"epoch-{position.epoch:04d}")
    for old in sorted(folder.glob("epoch-*"))[:-1]:
        shutil.rmtree(old, ignore_errors=True)


def _restore(
    folder: Path, objective: Objective, optimizer: Any
) -> tuple[Position, dict[str, Tensor]] | None:
    """The newest complete state under ``folder``, loaded into place; None where there is none."""
    states = sorted(folder.glob("epoch-*"))
    if not states:
        return None
    newest = states[-1]
    try:
        position = Position(**json.loads((newest / "position.json").read_text()))
        best = load_file(newest / "best.safetensors")
        objective.load_state_dict(load_file(newest / "weights.safetensors"))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in load_file(newest / "optimizer.safetensors").items():
            index, name = key.split(".", 1)
            moments.setdefault(int(index), {})[name] = tensor
        optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
    except Exception as error:  # any damage, of whatever kind, is the same news to the user
        raise CheckpointError(
            f"the training state in {newest} is broken ({type(error).__name__}: {error})",
            hint=f"delete {folder} to train from the start",
        ) from error
    return position, best


def _writer(training: Training) -> Any:
    """A TensorBoard writer, or None."""
    if not training.tensorboard or training.out is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(training.out / "tensorboard"))


def fit(
    objective: Objective, config: NeuralConfig, *, streams: Streams, training: Training
) -> list[dict[str, Any]]:
    """Train until the schedule or the patience ends; the best weights end up in ``objective``.

    With ``training.out`` a killed run continues from its last epoch and ends with the same bits as
    an uninterrupted one (same versions, device and thread count).

    Returns:
        One entry per epoch: ``epoch``, ``loss`` (mean over steps), ``lr`` and ``valid``.

    Raises:
        CheckpointError: the saved state is broken.
        ConfigError: the device does not exist.
    """
    accelerator = Accelerator(cpu=training.device == "cpu")
    place = accelerator.device
    if training.device not in ("auto", place.type):
        raise ConfigError(f"the device {training.device!r} is not there; found {place.type!r}")
    dtype = resolve_precision(training.precision, place)
    objective.to(place)
    optimizer = _optimizer(objective, config)
    folder = None if training.out is None else training.out / "resume"
    restored = None if folder is None else _restore(folder, objective, optimizer)
    position, best = restored or (Position(), dict(objective.state_dict()))
    best = {name: tensor.clone() for name, tensor in best.items()}
    wrapped, stepper = accelerator.prepare(objective, optimizer)
    writer = _writer(training) if accelerator.is_main_process else None
    rank, world = accelerator.process_index, accelerator.num_processes
    keep = {
        round(config.epochs * (at + 1) / training.snapshots) for at in range(training.snapshots)
    }
    while position.epoch < config.epochs:
        if position.epoch - position.best_epoch >= config.patience:
            break
        draws = streams.child(f"epoch-{position.epoch}")
        generator = draws.torch(f"dropout-{rank}", device=place)
        for module in objective.modules():
            if isinstance(module, Dropout):
                module.generator = generator
        batches = objective.epoch(draws.numpy("batches"))
        steps = len(batches) // world
        total = steps * config.epochs
        objective.train()
        losses = torch.zeros((), dtype=torch.float64)
        for at in range(steps):
            step = position.epoch * steps + at
            rate = learning_rate(step, total, config)
            for group in optimizer.param_groups:
                group["lr"] = rate
            with torch.autocast(place.type, dtype, enabled=dtype != torch.float32):
                loss = wrapped(batches[at * world + rank])
            stepper.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(wrapped.parameters(), GRADIENT_NORM)
            stepper.step()
            losses += loss.detach().cpu()
            if training.progress is not None:
                seen = f"loss {float(losses) / (at + 1):.3f}"
                if position.history:
                    name, value = next(iter(position.history[-1]["valid"].items()))
                    seen += f", {name} {value:.4f}"
                what = f"training | epoch {position.epoch + 1}/{config.epochs}, {seen}"
                training.progress(what, step + 1, total)
        objective.eval()
        valid = objective.validate()
        position.epoch += 1
        mean = float(losses) / max(1, steps)
        if not math.isfinite(mean):
            raise ConfigError(
                f"the loss became {mean} in epoch {position.epoch}", hint="lower lr, --set lr=..."
            )
        entry = {"epoch": position.epoch, "loss": mean, "lr": rate, "valid": valid}
        position.history.append(entry)
        score = next(iter(valid.values()))
        if score > position.best:
            position.best, position.best_epoch = score, position.epoch
            best = {name: tensor.clone() for name, tensor in objective.state_dict().items()}
        if writer is not None:
            for name, value in {"loss": mean, "lr": rate, **valid}.items():
                writer.add_scalar(name, value, position.epoch)
        if training.out is not None and folder is not None and accelerator.is_main_process:
            if position.epoch in keep:
                (training.out / "snapshots").mkdir(parents=True, exist_ok=True)
                save_file(
                    dict(objective.state_dict()),
                    training.out / "snapshots" / f"epoch-{position.epoch:04d}.safetensors",
                )
            _save(folder, position, objective, best, optimizer)
            atomic_write_text(training.out / "history.json", json.dumps(position.history, indent=1))
        accelerator.wait_for_everyone()
    if writer is not None:
        writer.close()
    objective.load_state_dict(best)
    objective.eval()
    return position.history
