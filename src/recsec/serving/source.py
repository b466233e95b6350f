"""The file of the policy, read anew when it changes: whole and valid, or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recsec.detection import Fitted
from recsec.errors import ConfigError
from recsec.serving.policy import Policy, read_policy

__all__ = ["Source"]


class Source:
    """A policy in a file.

    A change is taken when the file looked the same twice, so that none is read half written.

    Args:
        path: the file.
        policy: what was read from it.
        fits: raises ``ConfigError`` for a policy that cannot be.
    """

    def __init__(self, path: Path, policy: Policy, fits: Callable[[Policy], None]) -> None:
        self.wanted = False
        """Read it in any case."""
        self._path = path
        self._policy = policy
        self._fits = fits
        self._read = self._seen = self._look()

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def changed(self) -> Policy | None:
        """The policy, if there is another one.

        Raises:
            ConfigError: the file is missing, or what stands in it does not fit; it is told once.
        """
        seen, self._seen = self._seen, self._look()
        steady = seen == self._seen and self._seen != self._read
        if not self.wanted and not steady:
            return None
        forced, self.wanted, self._read = self.wanted, False, self._seen
        policy = read_policy(self._path)
        self._fits(policy)
        if policy == self._policy and not forced:
            return None
        self._policy = policy
        return policy

    @staticmethod
    def detectors(policy: Policy, former: Policy, fitted: Fitted | None) -> Fitted | None:
        """The detectors of a policy; those that are open already, if they are the same.

        Raises:
            ConfigError: they know other items.
            CheckpointError: they are missing or broken.
        """
        if policy.detectors == former.detectors:
            return fitted
        if policy.detectors is None:
            return None
        found = Fitted.load(policy.detectors)
        if fitted is not None and found.catalog.ids.tolist() != fitted.catalog.ids.tolist():
            raise ConfigError(
                f"{policy.detectors} knows other items than the detectors so far",
                hint="start the service anew with them",
            )
        return found
