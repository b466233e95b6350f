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
from typing import Any, cast

import numpy as np
import torch
from accelerate.accelerator import Accelerator
from torch import Tensor, nn

from recsec.errors import CheckpointError, ConfigError
from recsec.models.base import Precision, ScheduleConfig, Training
from recsec.models.dropout import Dropout
from recsec.models.tensors import load_tensors, tensor_bytes
from recsec.rng import Streams
from recsec.runs import atomic_write_bytes, atomic_write_text, check_fence, digest

__all__ = ["Objective", "check_device", "fit", "resolve_device", "resolve_precision", "uses_cpu"]

GRADIENT_NORM = 5.0


class Objective(nn.Module, ABC):
    """What is trained, on what, towards what. Owns every module that resuming must cover.

    Attributes:
        generator: of what a step draws; the trainer sets another for each epoch.
    """

    generator: torch.Generator | None = None

    @abstractmethod
    def epoch(self, rng: np.random.Generator) -> Sequence[Any]:
        """The batches of one epoch, in order; each is passed to ``forward``."""

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """The mean loss of a batch."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """How good the model is now; the first entry decides (higher is better).

        Entries called ``train_...`` are measured on training data and noted apart.
        """


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


def uses_cpu(device: str) -> bool:
    """Whether training happens on the CPU: asked for, or nothing else is there.

    accelerate has to be told, or several processes on a CPU do not find each other.
    """
    return device == "cpu" or not torch.accelerator.is_available()


def resolve_device(device: str) -> str:
    """The device that ``--device`` means: ``auto`` is the accelerator, where there is one.

    >>> resolve_device("cuda:1")
    'cuda:1'
    """
    if device != "auto":
        return device
    found = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if found is None else found.type


def check_device(device: str, *, one: bool = False) -> None:
    """Whether a device is there, without touching it.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps`` ...
        one: a training is to run there, which takes the first of its kind.

    Raises:
        ConfigError: there is none, or it is no word for one.
    """
    if device in ("auto", "cpu"):
        return
    found = torch.accelerator.current_accelerator()
    here = ["auto", "cpu"] + ([] if found is None else [found.type])
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(
            f"{device!r} is no device; there are: {', '.join(here)}", hint="device = cpu, or auto"
        ) from error
    count = torch.accelerator.device_count()
    if wanted.type not in here or (wanted.index or 0) >= max(1, count):
        raise ConfigError(
            f"the device {device!r} is not there; there are: {', '.join(here)}",
            hint="device = cpu, or auto",
        )
    if one and wanted.index is not None:
        raise ConfigError(
            f"models are trained on the first device of a kind, not on {device!r}",
            hint=f"device = {wanted.type}, and CUDA_VISIBLE_DEVICES to choose among several",
        )


def learning_rate(step: int, total: int, config: ScheduleConfig) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm = int(total * config.warmup)
    rise = min(1.0, (step + 1) / (warm + 1))
    return config.lr * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total))))


def _optimizer(objective: nn.Module, config: ScheduleConfig) -> torch.optim.AdamW:
    """AdamW; vectors (biases, norms) are not decayed."""
    trained = [p for p in objective.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.dim() > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), fused=True)


def _laid_out(objective: Objective) -> dict[str, Tensor]:
    """Its state as safetensors takes it: an objective may hold networks in channels-last."""
    return {name: tensor.contiguous() for name, tensor in objective.state_dict().items()}


def _save(
    folder: Path, position: Position, objective: Objective, best: dict[str, Tensor], optimizer: Any
) -> None:
    """Write the state of an epoch beside the older one, then swap: a kill leaves one of them."""
    fresh = folder / "writing"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    (fresh / "weights.safetensors").write_bytes(tensor_bytes(_laid_out(objective)))
    (fresh / "best.safetensors").write_bytes(tensor_bytes(best))
    moments = {
        f"{index}.{name}": tensor
        for index, state in optimizer.state_dict()["state"].items()
        for name, tensor in state.items()
    }
    (fresh / "optimizer.safetensors").write_bytes(tensor_bytes(moments))
    known = {"position": vars(position), "sum": digest(vars(position))}
    (fresh / "position.json").write_text(json.dumps(known))
    check_fence()
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
        known = json.loads((newest / "position.json").read_text())
        if digest(known["position"]) != known["sum"]:
            raise ValueError("the check sum of position.json is another")
        position = Position(**known["position"])
        best = load_tensors(newest / "best.safetensors")
        objective.load_state_dict(load_tensors(newest / "weights.safetensors"))
        moments: dict[int, dict[str, Tensor]] = {}
        for key, tensor in load_tensors(newest / "optimizer.safetensors").items():
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


def _copied(objective: nn.Module) -> dict[str, Tensor]:
    """The weights as they are now."""
    whole = torch.contiguous_format
    return {
        name: tensor.clone(memory_format=whole) for name, tensor in objective.state_dict().items()
    }


class _Run:
    """A training under way."""

    def __init__(
        self, objective: Objective, config: ScheduleConfig, streams: Streams, training: Training
    ) -> None:
        self.objective, self.config, self.streams = objective, config, streams
        self.training = training
        check_device(training.device, one=True)
        self.accelerator = cast("Any", Accelerator(cpu=uses_cpu(training.device)))
        self.place: torch.device = self.accelerator.device
        if training.device not in ("auto", self.place.type):
            raise ConfigError(
                f"the device {training.device!r} is not there; found {self.place.type!r}"
            )
        self.dtype = resolve_precision(training.precision, self.place)
        objective.to(self.place)
        self.optimizer = _optimizer(objective, config)
        self.folder = None if training.out is None else training.out / "resume"
        restored = self.folder and _restore(self.folder, objective, self.optimizer)
        self.position, self.best = restored or (Position(), _copied(objective))
        self.wrapped, self.stepper = self.accelerator.prepare(objective, self.optimizer)
        self.writer = _writer(training) if self.accelerator.is_main_process else None
        if restored:
            self._tell()  # a kill may have come between the state of an epoch and this

    @property
    def finished(self) -> bool:
        """Whether the schedule or the patience is at its end."""
        position = self.position
        stale = position.epoch - position.best_epoch >= self.config.patience
        return stale or position.epoch >= self.config.epochs

    def epoch(self) -> None:
        """One epoch: train, validate, keep."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        draws = self.streams.child(f"epoch-{self.position.epoch}")
        generator = draws.torch(f"dropout-{rank}", device=self.place)
        self.objective.generator = generator
        for module in self.objective.modules():
            if isinstance(module, Dropout):
                module.generator = generator
        batches = self.objective.epoch(draws.numpy("batches"))
        steps = max(1, len(batches) // world)
        total = steps * self.config.epochs
        self.objective.train()
        losses = 0.0
        for at in range(steps):
            step = self.position.epoch * steps + at
            losses += self._step(batches[(at * world + rank) % len(batches)], step, total)
            if self.training.progress is not None:
                self.training.progress(self._said(losses / (at + 1)), step + 1, total)
        self.objective.eval()
        mean = losses / steps
        self.position.epoch += 1
        if not math.isfinite(mean):
            raise ConfigError(
                f"the loss became {mean} in epoch {self.position.epoch}",
                hint="lower lr, --set lr=...",
            )
        self._keep(mean, learning_rate(step, total, self.config), self.objective.validate())

    def _step(self, batch: Any, step: int, total: int) -> float:
        """One update of the weights; the loss before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(step, total, self.config)
        with torch.autocast(self.place.type, self.dtype, enabled=self.dtype != torch.float32):
            loss = self.wrapped(batch)
        self.stepper.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.wrapped.parameters(), GRADIENT_NORM)
        self.stepper.step()
        return float(loss.detach())

    def _said(self, loss: float) -> str:
        """What progress says."""
        text = f"training | epoch {self.position.epoch + 1}/{self.config.epochs}, loss {loss:.3f}"
        for entry in self.position.history[-1:]:
            name, value = next(iter(entry["valid"].items()))
            text += f", {name} {value:.4f}"
        return text

    def _keep(self, loss: float, rate: float, valid: dict[str, float]) -> None:
        """Note the epoch; keep the weights if they are the best; make it safe from a kill."""
        position, out = self.position, self.training.out
        apart = {name: value for name, value in valid.items() if name.startswith("train_")}
        valid = {name: value for name, value in valid.items() if name not in apart}
        entry = {"epoch": position.epoch, "loss": loss, "lr": rate, "valid": valid, **apart}
        position.history.append(entry)
        score = next(iter(valid.values()))
        if score > position.best:
            position.best, position.best_epoch = score, position.epoch
            self.best = _copied(self.objective)
        if self.writer is not None:
            for name, value in {"loss": loss, "lr": rate, **valid}.items():
                self.writer.add_scalar(name, value, position.epoch)
        if out is not None and self.folder is not None and self.accelerator.is_main_process:
            if self._is_snapshot():
                path = out / "snapshots" / f"epoch-{position.epoch:04d}.safetensors"
                atomic_write_bytes(path, tensor_bytes(_laid_out(self.objective)))
            _save(self.folder, position, self.objective, self.best, self.optimizer)
            self._tell()
        self.accelerator.wait_for_everyone()

    def _tell(self) -> None:
        """Write down the epochs so far."""
        if self.training.out is not None and self.accelerator.is_main_process:
            text = json.dumps(self.position.history, indent=1)
            atomic_write_text(self.training.out / "history.json", text)

    def _is_snapshot(self) -> bool:
        """Whether this epoch is one of the evenly spaced ones to keep."""
        count = self.training.snapshots
        wanted = {round(self.config.epochs * (at + 1) / count) for at in range(count)}
        return self.position.epoch in wanted


def fit(
    objective: Objective, config: ScheduleConfig, *, streams: Streams, training: Training
) -> list[dict[str, Any]]:
    """Train until the schedule or the patience ends; the best weights end up in ``objective``.

    With ``training.out`` a killed run continues from its last epoch and ends with the same bits as
    an uninterrupted one (same versions, device and thread count).

    Returns:
        One entry per epoch: ``epoch``, ``loss`` (mean over steps), ``lr`` and ``valid``.

    Raises:
        CheckpointError: the saved state is broken.
        ConfigError: the device is not there, or the loss is no longer finite.
    """
    run = _Run(objective, config, streams, training)
    while not run.finished:
        run.epoch()
    if run.writer is not None:
        run.writer.close()
    objective.load_state_dict(run.best)
    objective.eval()
    return run.position.history
