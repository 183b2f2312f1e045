"""Logs of tokens: what is a transfer, what only looks like one, and what profiles add."""

import pytest

from chains.errors import AddressError, InputError
from chains.evm.hex import Misread
from chains.evm.tokens import (
    PROFILES,
    TRANSFER,
    TokenEvent,
    decode_log,
    event_topic,
    find_profiles,
    profile_topics,
)
from chains.registry import find_chain
from tests.chains.evm_world import word

ETHEREUM, TRON = find_chain("ethereum"), find_chain("tron")
PAYER, PAYEE = "0x" + "aa" * 20, "0x" + "bb" * 20
A, B = word(PAYER), word(PAYEE)
ZERO = word(0)


def log(*topics: str, data: str = "") -> dict[str, object]:
    return {"topics": ["0x" + topic.removeprefix("0x") for topic in topics], "data": "0x" + data}


def test_the_topics_are_those_of_the_published_events() -> None:
    assert event_topic("Transfer(address,address,uint256)") == TRANSFER
    published = {
        "tether": {
            "0xcb8241adb0c3fdb35b70c24ce35c5eb0c17af7431c99f827d44a445ca624176a",  # Issue
            "0x702d5967f45f6513a38ffc42d6ba9bf230bd40e8f53b16363c7eb4fd2deb9a44",  # Redeem
            "0x61e6e66b0d6339b2980aecc6ccc0039736791f0ccde9ed512e789a7fbdd698c6",  # DestroyedBlackFunds
            "0x42e160154868087d6bfdc0ca23d96a1c1cfa32f1b72ba9ba27b69b98a0d819dc",  # AddedBlackList
            "0xd7e9ec6e6ecd65492dce6bf513cd6867560d49544421d0783ddf06e76c24470c",  # RemovedBlackList
        },
        "weth": {
            "0xe1fffcc4923d04b559f4d29a8bfc6cda04eb5b0d3c460751c2402c5c5cc9109c",  # Deposit
            "0x7fcf532c15f0a6db0bd6d0e038bea71d30d808c7d98cb3bf7268a95bf5081b65",  # Withdrawal
        },
    }
    assert {name: set(profile_topics(name)) for name in published} == published
    assert len({topic for name in PROFILES for topic in profile_topics(name)}) == 11


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        (log(TRANSFER, A, B, data=word(7)), TokenEvent("move", PAYER, PAYEE, 7)),
        (log(TRANSFER, data=A + B + word(8)), TokenEvent("move", PAYER, PAYEE, 8)),
        (log(TRANSFER, ZERO, B, data=word(9)), TokenEvent("move", None, PAYEE, 9)),
        (log(TRANSFER, A, ZERO, data=word(10)), TokenEvent("move", PAYER, None, 10)),
        (log(TRANSFER, data=ZERO + B + word(1)), TokenEvent("move", None, PAYEE, 1)),
        (log(TRANSFER, A, B, data=ZERO), TokenEvent("move", PAYER, PAYEE, 0)),
        (log(TRANSFER, A, B, data="f" * 64), TokenEvent("move", PAYER, PAYEE, 2**256 - 1)),
        (log(TRANSFER.upper().replace("0X", ""), A.upper(), B, data=word(7)),
         TokenEvent("move", PAYER, PAYEE, 7)),
    ],
)  # fmt: skip
def test_a_transfer_has_both_parties_indexed_or_neither(entry: dict[str, object], found: TokenEvent) -> None:
    assert decode_log(entry) == found


@pytest.mark.parametrize(
    "entry",
    [
        log(event_topic("Approval(address,address,uint256)"), A, B, data=word(7)),
        log(TRANSFER, A, B, word(7)),  # an NFT's
        log(TRANSFER, A, B),
        log(TRANSFER, A, B, data=word(7)[2:]),
        log(TRANSFER, A, B, data=word(7) + "00"),
        log(TRANSFER, A, B, data=word(7) + word(7)),
        log(TRANSFER, A, data=B + word(7)),
        log(TRANSFER, data=word(7)),  # anonymous: its first topic may be anything
        log(TRANSFER, data=A + B),
        log(data=A + B + word(7)),
        log(),
        log(TRANSFER, "01" + A[2:], B, data=word(7)),
        log(TRANSFER, A, "f" * 64, data=word(7)),
        log(TRANSFER, ZERO, ZERO, data=word(7)),
        log(event_topic("Deposit(address,uint256)"), A, data=word(7)),
        log(event_topic("Issue(uint256)"), data=word(7)),
        log(event_topic("AddedBlackList(address)"), data=A),
    ],
)
def test_what_looks_like_a_transfer_and_is_none(entry: dict[str, object]) -> None:
    assert decode_log(entry) is None


@pytest.mark.parametrize(
    ("profile", "signature", "words", "found"),
    [
        ("tether", "Issue(uint256)", [word(70)], TokenEvent("move", None, "owner", 70)),
        ("tether", "Redeem(uint256)", [word(70)], TokenEvent("move", "owner", None, 70)),
        ("tether", "DestroyedBlackFunds(address,uint256)", [A, word(70)],
         TokenEvent("move", PAYER, None, 70)),
        ("tether", "AddedBlackList(address)", [A], TokenEvent("freeze", PAYER, None, 0)),
        ("tether", "RemovedBlackList(address)", [A], TokenEvent("release", PAYER, None, 0)),
        ("tether-tron", "DestroyedBlackFunds(address,uint256)", [A, word(7)],
         TokenEvent("move", PAYER, None, 7)),
        ("tether-tron", "AddedBlackList(address)", [A], TokenEvent("freeze", PAYER, None, 0)),
        ("tether-tron", "RemovedBlackList(address)", [A], TokenEvent("release", PAYER, None, 0)),
        ("tether-blocks", "BlockPlaced(address)", [A], TokenEvent("freeze", PAYER, None, 0)),
        ("tether-blocks", "BlockReleased(address)", [A], TokenEvent("release", PAYER, None, 0)),
        ("weth", "Deposit(address,uint256)", [A, word(70)], TokenEvent("move", None, PAYER, 70)),
        ("weth", "Withdrawal(address,uint256)", [A, word(70)], TokenEvent("move", PAYER, None, 70)),
        ("circle", "Blacklisted(address)", [A], TokenEvent("freeze", PAYER, None, 0)),
        ("circle", "UnBlacklisted(address)", [A], TokenEvent("release", PAYER, None, 0)),
    ],
)  # fmt: skip
def test_each_event_of_a_profile_indexed_or_not(
    profile: str, signature: str, words: list[str], found: TokenEvent
) -> None:
    topic = event_topic(signature)
    for indexed in range(len(words) + 1):
        entry = log(topic, *words[:indexed], data="".join(words[indexed:]))
        assert decode_log(entry, profile) == found
        for other in {None, *PROFILES} - {profile, "tether", "tether-tron"}:
            assert decode_log(entry, other) is None, other
    assert decode_log(log(topic, data="".join(words) + word(0)), profile) is None
    assert decode_log(log(topic, data="".join(words)[:-2]), profile) is None
    if words[0] == A:
        assert decode_log(log(topic, data="".join(["01" + A[2:], *words[1:]])), profile) is None
        assert decode_log(log(topic, data="".join([ZERO, *words[1:]])), profile) is None


def test_on_tron_issuing_tether_has_a_transfer_and_counts_once() -> None:
    entry = log(event_topic("Issue(uint256)"), data=word(7))
    assert decode_log(entry, "tether-tron") is None
    assert decode_log(entry, "tether") is not None


def test_a_profile_does_not_take_plain_transfers_away() -> None:
    for profile in PROFILES:
        entry = log(TRANSFER, A, B, data=word(7))
        assert decode_log(entry, profile) == TokenEvent("move", PAYER, PAYEE, 7)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"topics": None, "data": "0x"},
        {"topics": [TRANSFER], "data": None},
        {"topics": [TRANSFER], "data": 7},
        {"topics": [TRANSFER], "data": "7f"},
        {"topics": [TRANSFER], "data": "0x7"},
        {"topics": TRANSFER, "data": "0x"},
        {"topics": [None], "data": "0x"},
        {"topics": [{}], "data": "0x"},
        {"topics": [TRANSFER[:-1]], "data": "0x"},
        {"topics": [TRANSFER] * 5, "data": "0x"},
        log(TRANSFER, A, B, data="zz" * 32),
        log(TRANSFER, A, B, data="+7" * 32),
        log(TRANSFER, A, B, data="1_" * 32),
        log(TRANSFER, A, B, data=" 7" * 32),
        log(TRANSFER, A[:24] + "zz" * 20, B, data=word(7)),
        log(TRANSFER, A, B, data="٣" * 64),
    ],
)
def test_what_is_no_log_is_refused(entry: dict[str, object]) -> None:
    with pytest.raises(Misread):
        decode_log(entry)


def test_profiles_belong_to_a_chain_and_a_contract() -> None:
    usdt, weth = "0xdac17f958d2ee523a2206206994597c13d831ec7", "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2"
    found = find_profiles(ETHEREUM)
    assert (found[usdt], found[weth]) == ("tether", "weth")
    assert usdt not in find_profiles(find_chain("polygon"))
    assert find_profiles(TRON) == {"TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t": "tether-tron"}
    assert find_profiles(find_chain("eip155:31337")) == {}


def test_profiles_can_be_named_and_taken_away() -> None:
    usdt = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
    assert usdt.lower() not in find_profiles(ETHEREUM, {usdt: "none"})
    assert find_profiles(ETHEREUM, {PAYER: "weth"})[PAYER] == "weth"
    with pytest.raises(InputError, match="no event profile"):
        find_profiles(ETHEREUM, {PAYER: "usdt"})
    with pytest.raises(AddressError):
        find_profiles(ETHEREUM, {"usdt": "tether"})
