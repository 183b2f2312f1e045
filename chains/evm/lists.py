"""The lists of an account that an API as Etherscan's gives, page by page, and the fields of their rows.

Every value is checked when it is read; nothing of another type, form or range passes.
Source: Etherscan's API documentation (module account), Blockscout's (RPC API).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from chains.errors import BadAnswer, NodeRefused
from chains.rest import RestClient, brief

ROWS = 1_000
"""Rows asked for at once: every plan of every service allows so many."""

WINDOW = 10_000
"""Rows that can be paged through from one starting block."""

MOST_HEIGHT = 2**31 - 1
_LAST_TIME = 7_258_118_400  # the year 2200
_NUMBER = re.compile("[0-9]{1,78}")
_ADDRESS = re.compile("0x[0-9a-f]{40}")
_HASH = re.compile("0x[0-9a-f]{64}")
_NOTHING = re.compile(r"no (internal |token )?(transactions|transfers|records) found", re.IGNORECASE)
_MAY_PASS = re.compile(
    r"rate limit|too many|time.?out|timed out|try again|temporar|busy|throttl", re.IGNORECASE
)
_BAD_KEY = re.compile(r"api.?key", re.IGNORECASE)
_UNFINISHED = "it has not worked out all calls of these blocks yet: pull again later"
_KEPT = frozenset(
    [
        "blockNumber",
        "blockHash",
        "timeStamp",
        "hash",
        "transactionHash",
        "transactionIndex",
        "from",
        "to",
        "contractAddress",
        "value",
        "gasPrice",
        "gasUsed",
        "isError",
        "txreceipt_status",
        "type",
        "callType",
        "traceId",
        "index",
        "logIndex",
        "tokenID",
        "tokenSymbol",
        "tokenDecimal",
    ]
)


@dataclass(frozen=True)
class Row:
    """A row of one of the lists; `occurrence` counts rows that say exactly the same, from 1."""

    action: str
    fields: Mapping[str, Any]
    height: int
    occurrence: int


@dataclass(frozen=True)
class AccountList:
    """One list of an account: its rows, the last block that is whole in them, and why they may not be."""

    rows: tuple[Row, ...]
    reached: int
    doubt: str


def read_list(api: RestClient, action: str, address: str, *, first: int, most: int) -> AccountList:
    """Read a list (txlist, txlistinternal, tokentx) of an account from block `first` on.

    Each request starts at the highest block seen so far, so that neither the page limit nor a page that is
    shorter than was asked for can end a list early: it ends with an empty page. More than about `most` rows
    are cut before the block that was not read to its end.
    """
    rows: dict[tuple[bytes, int], Row] = {}
    start, page, doubt = first, 1, ""
    counts: dict[bytes, int] = {}
    low, top = MOST_HEIGHT, 0
    while True:
        given, why = _read_page(api, action, address, first=start, page=page)
        doubt = doubt or why
        if not given:
            return AccountList(tuple(rows.values()), MOST_HEIGHT, doubt)
        for fields in given:
            height = whole(api, Row(action, fields, 0, 0), "blockNumber", high=MOST_HEIGHT)
            if height < start:
                raise api.bad_answer(action, f"block {height} is outside those asked for")
            content = _content(fields)
            counts[content] = counts.get(content, 0) + 1
            kept = {name: fields[name] for name in _KEPT if name in fields}
            rows.setdefault((content, counts[content]), Row(action, kept, height, counts[content]))
            low, top = min(low, height), max(top, height)
        too_many = len(rows) > most and top > low
        if too_many or (top == start and page * ROWS >= WINDOW):
            return AccountList(tuple(row for row in rows.values() if row.height < top), top - 1, doubt)
        if top > start:
            start, page, counts = top, 1, {}
        else:
            page += 1


def passing(answer: Any) -> str | None:
    """Why an answer may pass: a limit of requests, told with HTTP status 200; None where it counts."""
    if not isinstance(answer, dict) or answer.get("status") not in ("0", 0):
        return None
    words = _words(answer)
    return words[:200] if _MAY_PASS.search(words) and not _NOTHING.search(words) else None


def whole(api: RestClient, row: Row, name: str, *, high: int = 2**256 - 1, lacking: bool = False) -> int:
    """Return a whole number of a row; 0 for an absent one that may be `lacking`. Raises BadAnswer."""
    text = row.fields.get(name)
    if lacking and text in (None, ""):
        return 0
    if type(text) is int:
        text = str(text)
    if not isinstance(text, str) or not _NUMBER.fullmatch(text) or int(text) > high:
        raise _wrong(api, row, name, "a number in its range")
    return int(text)


def account(api: RestClient, row: Row, name: str, *, lacking: bool = False) -> str:
    """Return an address of a row in canonical form; '' for one that may be `lacking`. Raises BadAnswer."""
    text = row.fields.get(name)
    if lacking and text in (None, ""):
        return ""
    lower = text.lower() if isinstance(text, str) else ""
    if not _ADDRESS.fullmatch(lower):
        raise _wrong(api, row, name, "an address")
    return lower


def transaction_hash(api: RestClient, row: Row) -> str:
    """Return the hash of a row's transaction, in small letters; raises BadAnswer."""
    name = "hash" if "hash" in row.fields else "transactionHash"
    return _hash(api, row, name)


def block_hash(api: RestClient, row: Row) -> str:
    """Return the hash of a row's block, in small letters; raises BadAnswer."""
    return _hash(api, row, "blockHash")


def seconds(api: RestClient, row: Row) -> int:
    """Return the time of a row in seconds since 1970; raises BadAnswer."""
    return whole(api, row, "timeStamp", high=_LAST_TIME)


def _hash(api: RestClient, row: Row, name: str) -> str:
    text = row.fields.get(name)
    lower = text.lower() if isinstance(text, str) else ""
    if not _HASH.fullmatch(lower):
        raise _wrong(api, row, name, "a hash")
    return lower


def _wrong(api: RestClient, row: Row, name: str, wanted: str) -> BadAnswer:
    return api.bad_answer(row.action, f"{name} is {brief(row.fields.get(name))}, and must be {wanted}")


def _read_page(
    api: RestClient, action: str, address: str, *, first: int, page: int
) -> tuple[list[Mapping[str, Any]], str]:
    query: dict[str, str | int] = {
        "module": "account",
        "action": action,
        "address": address,
        "startblock": first,
        "endblock": MOST_HEIGHT,
        "page": page,
        "offset": ROWS,
        "sort": "asc",
    }
    answer = api.get(query=query, verdict=passing)
    if not isinstance(answer, dict):
        raise api.bad_answer(action, f"{brief(answer)} where an object belongs")
    status, result = answer.get("status"), answer.get("result")
    if status in ("0", 0):
        words = _words(answer)
        if result in ([], None) or _NOTHING.search(words):
            return [], ""
        error = api.error(action, words or "status 0 without a word")
        if _BAD_KEY.search(words):
            raise NodeRefused(api.shown_url, why=error.message)
        raise error
    if not isinstance(result, list) or not all(isinstance(row, dict) for row in result):
        raise api.bad_answer(action, f"{brief(result)} where a list of rows belongs")
    # Blockscout's third status: the blocks are read, and their calls not yet worked out.
    return result, _UNFINISHED if status in ("2", 2) else ""


def _words(answer: Mapping[str, Any]) -> str:
    return " ".join(word for word in (answer.get("message"), answer.get("result")) if isinstance(word, str))


def _content(fields: Mapping[str, Any]) -> bytes:
    """Digest of what a row says, without what changes while the chain grows."""
    text = "|".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "confirmations")
    return sha256(text.encode("utf-8", errors="surrogatepass")).digest()
