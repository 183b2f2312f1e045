"""What Ethereum paid for blocks before the merge, where the node does not say it: to miners and for uncles.

Sources: Ethereum's yellow paper (11.3), EIP-649 (3 ether), EIP-1234 (2 ether). Only Ethereum itself follows
this schedule; on other chains rewards are known from `trace_block` alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chains.evm.hex import Misread, read_address, read_height

_ETHER = 10**18
_BYZANTIUM, _CONSTANTINOPLE = 4_370_000, 7_280_000
_OLDEST_UNCLE = 6


def ethereum_reward(height: int) -> int:
    """Return the wei that a mined block of Ethereum paid to its miner, without what its uncles add."""
    if height < _BYZANTIUM:
        return 5 * _ETHER
    return (3 if height < _CONSTANTINOPLE else 2) * _ETHER


def ethereum_rewards(height: int, miner: str, uncles: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Return recipients and wei of a mined block of Ethereum: the miner first, then the uncles' in order.

    `uncles` are their headers. Raises `Misread`.
    """
    reward = ethereum_reward(height)
    paid = [(miner, reward + len(uncles) * (reward // 32))]
    for uncle in uncles:
        age = height - read_height(uncle, "number")
        if not 1 <= age <= _OLDEST_UNCLE:
            raise Misread("uncle.number", uncle.get("number"), f"of the {_OLDEST_UNCLE} blocks before")
        paid.append((read_address(uncle, "miner"), reward * (8 - age) // 8))
    return paid
