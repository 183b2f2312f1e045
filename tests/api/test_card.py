"""The card: 80 columns, the answer at a glance, and no text of a third party in control."""

import io
import unicodedata

import pytest
from rich.cells import cell_len

from api.card import card_lines, write_card
from api.commands.common import clean
from api.screening import Screening, screen
from api.serving import Served
from tests.api.world import BANK, COINS, HOSTILE, LISTED

ASKED = [f"{BANK}:{name}" for name in ("alice", "bob", "market", "mallory", "fan", "busy", "carol")]


def ask(served: Served, text: str) -> Screening:
    return screen(text, served.snapshot, served.model)


def show(screening: Screening) -> str:
    out = io.StringIO()
    write_card(screening, out)
    return out.getvalue()


@pytest.mark.parametrize("account", [*ASKED, COINS[1], LISTED, f"{BANK}:{'x' * 90}", f"{BANK}:{'漢' * 14}"])
def test_no_line_is_wider_than_80_columns(served: Served, account: str) -> None:
    card = show(ask(served, account))
    assert all(cell_len(line) <= 80 for line in card.splitlines())
    assert [line.plain.rstrip() for line in card_lines(ask(served, account))] == [
        line.rstrip() for line in card.splitlines()
    ]


def test_the_first_lines_answer_the_first_questions(served: Served) -> None:
    head = show(ask(served, f"{BANK}:alice")).splitlines()[:8]
    assert (
        head[1].split() == ["HIGH", "decided", "by", "an", "exposure", "rule", "score", "5", "of", "100"]
        or "HIGH" in head[1]
    )
    assert head[3] == "address      alice"
    text = "\n".join(head)
    assert "why          100.0% of what it received, 2,000 USD, came directly from the drug" in text


def test_the_card_names_sanction_programme_and_entity(served: Served) -> None:
    card = show(ask(served, LISTED))
    assert "SEVERE" in card
    assert "decided by a sanctions list" in card
    assert "Cartel One: SDNTK, listed 2022-04-05" in card
    assert "no transfer of this address is in the ledger" in card
    assert "0x00000000000000000000000000000000000A11cE" in card


def test_hostile_label_text_cannot_control_the_terminal(served: Served) -> None:
    card = show(ask(served, f"{BANK}:mallory"))
    for character in card.replace("\n", ""):
        assert unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp"), repr(character)
    assert "[bold red]paid" in card
    assert "\\u202e" in card or "\\x1b" not in HOSTILE
    assert not any(line.startswith("risk_level") for line in card.splitlines())
    assert card.count("x" * 50) <= 8


def test_the_card_reads_the_same_without_colour(served: Served) -> None:
    assert "\x1b" not in show(ask(served, f"{BANK}:alice"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünïcode 漢字", "plain ünïcode 漢字"),
        ("a\x1b[31mb\x07", "a\\x1b[31mb\\x07"),
        ("a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
        ("\u202eabc\u2066\u200b", "\\u202eabc\\u2066\\u200b"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_its_code(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_long_text_is_cut() -> None:
    assert clean("x" * 1000, 10) == "x" * 9 + "…"
