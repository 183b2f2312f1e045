"""Plain blocks give what the careful way gives, and nothing passes for plain that the careful way refuses."""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest

from chains.evm.blocks import BlockAnswers, ChainRules, decode_block, read_head
from chains.evm.events import Questions
from chains.evm.hex import Misread, NotPlain, OtherBranch
from chains.evm.legs import LegColumns
from chains.evm.plain import add_plain_block, gather_plain
from chains.evm.records import Told, as_plain, decode_blocks, decode_receipts, decode_traces
from chains.evm.traces import read_frames
from chains.ledger import LegBatch
from chains.rpc import Decode
from tests.chains.evm_golden import ANSWERS, OWNER, load, profiles
from tests.nodes.lies import Liar

QUESTIONS = Questions(lambda _contract, _height: OWNER, lambda _account, _height: False)
TRACES = ("trace_block", "callTracer", "none")
Answers = tuple[Any, Any, Any]


def ask(value: Any, decode: Decode) -> Any:
    """An answer as it comes out of the client."""
    return decode(orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": value}))["result"]


def told(answers: Mapping[str, Any], internal: str) -> Answers:
    traced = answers[internal] if internal != "none" else None
    return (
        ask(answers["block"], decode_blocks),
        ask(answers["receipts"], decode_receipts),
        ask(traced, decode_traces) if internal == "trace_block" else traced,
    )


def read_plain(answers: Answers, internal: str, named: Mapping[str, str]) -> LegBatch | None:
    """The legs of a block; None where it is not plain."""
    columns = LegColumns("slip44:60", token=lambda contract: f"erc20:{contract}")
    try:
        head = read_head(answers[0].records if isinstance(answers[0], Told) else answers[0])
        plain = gather_plain(answers, head, internal)
        add_plain_block(plain, head, columns, profiles=named, questions=QUESTIONS, rules=ChainRules())
    except (NotPlain, Misread, OtherBranch):
        return None
    return columns.finish([])


def read_carefully(answers: Answers, internal: str, named: Mapping[str, str]) -> LegBatch | str:
    """The legs of a block, or what is wrong with it."""
    columns = LegColumns("slip44:60", token=lambda contract: f"erc20:{contract}")
    try:
        block, receipts, traced = (as_plain(answer) for answer in answers)
        frames, rewards = read_frames(block, traced, internal)
        asked = BlockAnswers(block, receipts, frames, rewards)
        doubts = decode_block(asked, columns, profiles=named, questions=QUESTIONS)
    except (Misread, OtherBranch) as error:
        return str(error)
    return "doubtful" if doubts else columns.finish([])


def same(one: LegBatch, other: LegBatch | str) -> bool:
    return isinstance(other, LegBatch) and all(
        getattr(one, name).equals(getattr(other, name))
        for name in ("transfers", "legs", "rejected", "blocks", "freezes")
    )


@pytest.mark.parametrize("internal", TRACES)
@pytest.mark.parametrize("name", ANSWERS)
def test_recorded_blocks_are_read_alike_in_both_ways(name: str, internal: str) -> None:
    answers = load(name)
    found = read_plain(told(answers, internal), internal, profiles(answers))
    careful = read_carefully(told(answers, internal), internal, profiles(answers))
    doubtful = internal != "none" and careful == "doubtful"
    assert found is None if doubtful else found is not None and same(found, careful)


def spoil(answers: Mapping[str, Any], internal: str, lie: Callable[[str, Any, Any], Any]) -> dict[str, Any]:
    parts = {part: answers[part] for part in ("block", "receipts", internal) if part in answers}
    return {part: orjson.loads(orjson.dumps(lie(part, None, value))) for part, value in parts.items()}


def tell_lies(seeds: range, *, junk: bool) -> Counter[str]:
    """Spoil one place of recorded answers again and again; count how both ways took it."""
    counted: Counter[str] = Counter()
    for seed in seeds:
        pick = random.Random(seed)  # noqa: S311
        answers, internal = load(pick.choice(ANSWERS)), pick.choice(TRACES)
        liar = Liar(pick, junk=junk)
        try:
            spoiled = spoil(answers, internal, liar)
        except orjson.JSONDecodeError:
            continue  # a number that is out of range: no answer at all
        found = read_plain(told(spoiled, internal), internal, profiles(answers))
        careful = read_carefully(told(spoiled, internal), internal, profiles(answers))
        assert found is None or same(found, careful), (seed, liar.where, careful)
        counted["careful" if found is None else "plain"] += 1
        counted["refused"] += isinstance(careful, str)
    return counted


@pytest.mark.parametrize("junk", [False, True])
def test_no_lie_passes_for_plain_that_is_refused_by_careful_reading(*, junk: bool) -> None:
    counted = tell_lies(range(400), junk=junk)
    assert counted["plain"] > 50
    assert counted["careful"] > 100
    assert counted["refused"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("junk", [False, True])
def test_no_lie_passes_for_plain_ten_thousand_times(*, junk: bool) -> None:
    assert tell_lies(range(1000, 11_000), junk=junk)["plain"] > 1000


def test_an_answer_is_told_in_records_only_if_all_of_it_is_json_of_their_form() -> None:
    block = orjson.dumps({"jsonrpc": "2.0", "id": 1, "result": load(ANSWERS[0])["block"]})
    one = decode_blocks(block)["result"]
    assert isinstance(one, Told)
    assert as_plain(one) == load(ANSWERS[0])["block"]
    assert one == decode_blocks(block.replace(b",", b" , "))["result"]  # the same, written otherwise
    assert one != decode_blocks(block.replace(b'"miner":"0x', b'"miner":"0y'))["result"]
    assert isinstance(decode_blocks(block.replace(b'"number":"', b'"number":7,"no":"'))["result"], dict)
    for broken in (block[:-1], block.replace(b'"logsBloom":"0x', b'"logsBloom":"\xff'), block + b"x"):
        with pytest.raises(ValueError, match=r"."):
            decode_blocks(broken)
    assert decode_receipts(b'{"id":1,"result":null}')["result"] is None
    failure = b'[{"id":1,"result":[]},{"id":2,"error":{"code":-1}},{"id":3}]'
    assert decode_receipts(failure) == orjson.loads(failure)


def test_a_number_out_of_range_in_an_answer_that_needs_care_is_misread() -> None:
    answer = decode_receipts(b'{"id":1,"result":[{"of":1e400}]}')["result"]
    with pytest.raises(NotPlain):
        _ = answer.records
    with pytest.raises(Misread, match="answer"):
        as_plain(answer)
