"""What a checkpoint remembers of the data that it was trained on: ``data.json`` in its folder.

With it, ``--data`` may be left out wherever a checkpoint is named.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from recsec.data import Dataset, Reading, load_as
from recsec.errors import CheckpointError, DataError
from recsec.runs import atomic_write_text

__all__ = ["Remembered", "recall", "remember"]

FILE = "data.json"


class Remembered(BaseModel):
    """The data of a checkpoint.

    Attributes:
        data: as ``recsec.data.load`` takes it; the path of an own file is absolute.
        reading: what was said about it.
        fingerprint: SHA-256 of what was left after the filters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    reading: Reading
    fingerprint: str

    def load(self, *, whose: Path) -> Dataset:
        """The data as they were.

        Args:
            whose: the checkpoint, for errors.

        Raises:
            DataError: they are gone, or changed since.
        """
        self.find(whose=whose)
        found = load_as(self.data, self.reading)
        self.check(found, whose=whose)
        return found

    def find(self, *, whose: Path) -> None:
        """Refuse files that are gone.

        Raises:
            DataError: one of them is.
        """
        missing = [
            path
            for path in (self.data, self.reading.catalog)
            if path is not None and Path(path).is_absolute() and not Path(path).exists()
        ]
        if missing:
            raise DataError(
                f"{whose} was trained on {missing[0]}, which is not there any more",
                hint="--data NAME says where the data are now",
            )

    def check(self, found: Dataset, *, whose: Path) -> None:
        """Refuse other data than those of the training.

        Raises:
            DataError: they are others.
        """
        if found.fingerprint != self.fingerprint:
            raise DataError(
                f"{self.data} changed since {whose} was trained on it",
                hint=f"--data {self.data} takes it as it is now; or bring back what it was",
            )


def remember(folder: Path | None, data: Dataset) -> None:
    """Write down where the data of a checkpoint come from, if that is known."""
    if folder is None or data.origin is None:
        return
    told = Remembered(
        data=data.origin.name, reading=data.origin.reading, fingerprint=data.fingerprint
    )
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write_text(folder / FILE, told.model_dump_json(indent=2, exclude_defaults=True) + "\n")


def recall(folder: Path) -> Remembered | None:
    """What a checkpoint remembers; None where it is of an older version, or no checkpoint.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    try:
        return Remembered.model_validate_json(text)
    except ValidationError as error:
        raise CheckpointError(
            f"{path} is damaged", hint="name the data by --data; training again mends the file"
        ) from error
