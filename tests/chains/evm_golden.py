"""Recorded answers of nodes about one block each, and reading them as an `EvmNode` would."""

import copy
import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chains.evm.blocks import BlockAnswers, ChainRules, decode_block
from chains.evm.events import Questions
from chains.evm.hex import as_list, as_record
from chains.evm.legs import LegColumns
from chains.evm.traces import read_frames
from chains.ledger import LegBatch

GOLDEN = Path(__file__).parents[1] / "golden" / "evm"
ANSWERS = sorted(path.name.removesuffix(".json.gz") for path in GOLDEN.glob("*.json.gz"))
PROFILES = {"tether": "tether", "weth": "weth", "circle": "circle", "tether_blocks": "tether-blocks"}
RULES = ChainRules()
OWNER = "0x" + "0a11ce".zfill(40)


def load(name: str) -> dict[str, Any]:
    """Recorded answers: block, receipts, trace_block, callTracer, and the names of accounts."""
    found: dict[str, Any] = json.loads(gzip.decompress((GOLDEN / f"{name}.json.gz").read_bytes()))
    return copy.deepcopy(found)


def profiles(answers: Mapping[str, Any]) -> dict[str, str]:
    return {at: PROFILES[name] for at, name in answers["names"].items() if name in PROFILES}


def decode(
    answers: Mapping[str, Any],
    *,
    internal: str = "trace_block",
    code: bool | None = False,
    owner: str | None = OWNER,
    verdicts: Mapping[tuple[int, int], bool | None] | None = None,
    rules: ChainRules = RULES,
) -> LegBatch:
    """Decode recorded answers; `code` and `owner` stand for what the node's state says."""
    block = as_record(answers["block"], "block")
    traced = None if internal == "none" else answers[internal]
    frames, rewards = read_frames(block, traced, internal)
    columns = LegColumns("slip44:60", token=lambda contract: f"erc20:{contract}")
    questions = Questions(lambda _contract, _height: owner, lambda _account, _height: code)
    doubts = decode_block(
        BlockAnswers(block, as_list(answers["receipts"], "receipts"), frames, rewards),
        columns,
        profiles=profiles(answers),
        questions=questions,
        rules=rules,
        verdicts=verdicts if verdicts is not None else {},
    )
    if verdicts is None and doubts:
        # In the recorded blocks the movement of `repeated` did not happen, and that of `true_pair` did.
        settled = {(position, m.part): answers["names"][m.payer] == "true_pair" for position, m in doubts}
        return decode(answers, internal=internal, code=code, owner=owner, verdicts=settled)
    return columns.finish([])
