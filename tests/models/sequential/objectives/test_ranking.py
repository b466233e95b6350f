"""Validation shared among the processes of a distributed training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from recsec.data import load
from recsec.models import SasRec, SasRecConfig
from recsec.rng import Streams

PROCESS = """
import json, sys
import torch.distributed as dist
from recsec.data.sequences import Split
sys.path.insert(0, sys.argv[1])
from test_ranking import objective
dist.init_process_group("gloo")
seen = []
batches = Split.batches
def counted(self, stage, **words):
    seen.append(len(words["users"]))
    return batches(self, stage, **words)
Split.batches = counted
found = objective().validate()
open(f"{sys.argv[2]}/{dist.get_rank()}.json", "w").write(json.dumps([found, seen]))
dist.destroy_process_group()
"""


def objective():
    split = load("synthetic:users=61,items=40").split()
    model = SasRec(split.catalog, SasRecConfig(embedding_dim=8, blocks=1, max_length=20))
    model.initialize(Streams(0).torch("initialization"))
    return model.objective(split)


def test_each_process_ranks_its_part_and_all_know_the_whole(tmp_path: Path) -> None:
    import json

    (tmp_path / "process.py").write_text(PROCESS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    words = [*launch, "--master_port", "0", "--standalone", str(tmp_path / "process.py")]
    subprocess.run(
        [*words, str(Path(__file__).parent), str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    parts = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    alone = objective().validate()
    assert [found for found, _ in parts] == [alone, alone]
    assert [seen for _, seen in parts] == [[31, 4], [30, 4]], "of 61 users, and of 8"
