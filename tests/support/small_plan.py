"""The smallest extraction audit: forty calls, a copy of one epoch, no gate."""

from __future__ import annotations

__all__ = ["AUDIT"]

AUDIT = """[[extraction]]
policies = "random"
calls = 40
seeds = 0
length = 5
sessions = 4
surrogate = "meanpool"
surrogate_settings = { embedding_dim = 8, epochs = 1 }
[evaluation]
recheck = false
[gate]
fail_at = "never"
"""
