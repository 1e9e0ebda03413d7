"""Receipts and the server's list: each submission once, joined by ref, mark, or file and time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kit.competition import Competition
from kit.ledger import ledger, merge
from kit.ledger.listed import recall, remember, settle
from kit.ledger.merging import answered, marks, moment
from kit.providers.base import Contest, Submitted
from kit.submission.receipts import Receipt, read_receipts, write_receipt

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HASH = "0123abcd" * 8


def at(minutes: float) -> str:
    return f"{NOON + timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"


def receipt(**facts: Any) -> Receipt:
    known = {"file": "submissions/a.csv", "sha256": HASH, "message": "", "created": at(0)}
    return Receipt(**{**known, "provider": "kaggle", "metric": "rmse", **facts})


def listed(ref: str = "1", **facts: Any) -> Submitted:
    known = {"status": "complete", "created": at(0), "file_name": "a.csv"}
    return Submitted(**{"ref": ref, **known, **facts})


def joined(ours: Receipt, theirs: Submitted) -> bool:
    entries = merge([ours], [theirs], "kaggle")
    assert len(entries) in (1, 2)
    return len(entries) == 1


@pytest.fixture
def where(without_data: Callable[..., Competition]) -> Competition:
    return without_data("rmse", provider="kaggle")


@pytest.mark.parametrize("seed", range(200))
def test_every_submission_and_every_receipt_appears_exactly_once(seed: int) -> None:
    rng = random.Random(seed)
    names, words = ["a.csv", "b.csv"], ["", "first", "mark 0123abcd", "mark feedbeef01"]

    def moment_of() -> str:
        return rng.choice([at(rng.randint(-300, 300)), "2026-11-23 12:00:00", "yesterday", ""])

    receipts = [
        receipt(
            file=f"submissions/{rng.choice(names)}",
            sha256=rng.choice([HASH, "f" * 64]),
            message=rng.choice(words),
            created=moment_of(),
            ref=rng.choice(["", "", "1", "2", "3", "9"]),
            provider=rng.choice(["kaggle", "kaggle", "local"]),
            status=rng.choice(["sent", "complete"]),
        )
        for _ in range(rng.randint(0, 7))
    ]
    server = [
        listed(str(k), created=moment_of(), file_name=rng.choice(names), message=rng.choice(words))
        for k in range(rng.randint(0, 7))
    ]
    entries = merge(receipts, server, "kaggle")
    assert Counter(id(e.listed) for e in entries if e.listed) == Counter(map(id, server))
    assert Counter(id(e.receipt) for e in entries if e.receipt) == Counter(map(id, receipts))
    assert all(e.receipt or e.listed for e in entries)
    assert [e.when for e in entries] == sorted((e.when for e in entries), reverse=True)
    for entry in entries:  # nothing is joined against the server's own name for it
        if entry.receipt and entry.listed and entry.receipt.ref:
            assert entry.receipt.ref == entry.listed.ref
            assert entry.receipt.provider == "kaggle"


def test_ref_joins_whatever_the_rest_says() -> None:
    assert joined(receipt(ref="7"), listed("7", file_name="other.csv", created=at(9999)))


def test_other_ref_is_another_submission_though_file_and_time_agree() -> None:
    assert not joined(receipt(ref="7"), listed("8"))


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ("m [0123abcd]", "m [0123abcd]", True),
        ("anything", f"sent by kit {HASH[:12]}", True),  # the file's hash
        ("m", "m [0123abce]", False),
        ("m [feedbeef01]", "x [feedbeef01] y", True),  # a nonce that is no hash
        ("20261123", "20261123", False),  # a date is no mark
        ("20261123T101530-lightgbm-3f9a2c", "20261123T101530-linear-77aa00", False),
        ("deadbee", "deadbee", False),  # too short
        ("first", f"first [kit {HASH[:12]}-5d1c]", True),  # kit's own, of this file
        ("first", "first [kit 3f9a2c41b07e-5d1c]", False),  # and of another
        ("x [kit 3f9a2c41b0 v2]", "x [kit 3f9a2c41b0 v2]", True),  # a version of a kernel
        ("x [kit 3f9a2c41b0 v1]", "x [kit 3f9a2c41b0 v2]", False),  # another of the same bundle
        ("x [kit 0123456789 v1]", "x [kit 0123456789 v1]", True),  # all digits
    ],
)
def test_mark_in_the_message_joins(ours: str, theirs: str, same: bool) -> None:
    elsewhere = {"file_name": "other.csv", "created": at(9999)}
    assert joined(receipt(message=ours), listed(message=theirs, **elsewhere)) == same


@pytest.mark.parametrize(
    ("minutes", "same"), [(-6, False), (-4, True), (0, True), (119, True), (121, False)]
)
def test_file_and_time_join_within_limits(minutes: float, same: bool) -> None:
    assert joined(receipt(), listed(created=at(minutes))) == same


def test_file_and_time_do_not_join_another_file_or_message() -> None:
    assert not joined(receipt(), listed(file_name="b.csv"))
    assert not joined(receipt(message="mine"), listed(message="theirs"))
    assert joined(receipt(message="mine"), listed(message="mine (and what the server adds)"))


def test_nearest_in_time_wins_and_stronger_rules_go_first() -> None:
    late, early = receipt(created=at(30)), receipt(created=at(0))
    by_ref = receipt(ref="2", created=at(500))
    server = [listed("1", created=at(31)), listed("2", created=at(1)), listed("3", created=at(2))]
    pairs = {
        (e.receipt.created, e.listed.ref)
        for e in merge([late, early, by_ref], server, "kaggle")
        if e.receipt and e.listed
    }
    assert pairs == {(at(30), "1"), (at(0), "3"), (at(500), "2")}


def test_receipt_of_another_provider_is_never_joined() -> None:
    assert not joined(receipt(ref="1", provider="local"), listed("1"))


def test_same_ref_twice_after_a_provider_began_anew_joins_the_nearer_one() -> None:
    old, new = receipt(ref="1", created=at(-9000)), receipt(ref="1", created=at(0))
    (pair,) = [e for e in merge([old, new], [listed("1")], "kaggle") if e.listed]
    assert pair.receipt is new


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-45", "0001-01-01T00:00:00+09:00", None, 7]
)
def test_odd_times_are_very_long_ago_and_no_crash(text: Any) -> None:
    assert moment(text).year == 1


def test_time_without_a_zone_is_utc() -> None:
    assert moment("2026-11-23T12:00:00") == NOON == moment("2026-11-23T13:00:00+01:00")


def test_a_hash_of_digits_alone_is_found_by_kit_s_mark() -> None:
    digits = "123456789012" + "a" * 52
    theirs = listed(message="m [kit 123456789012-5d1c]", file_name="other.csv", created=at(9999))
    assert joined(receipt(sha256=digits, message="m"), theirs)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("first try [kit 3f9a2c41b07e-5d1c]", "first try"),
        ("first try [kit 3f9a2c41b0 v12]", "first try"),
        ("[kit 3f9a2c41b07e-5d1c]", ""),
        ("a [kit 3f9a2c41b07e-5d1c] b", "a [kit 3f9a2c41b07e-5d1c] b"),  # not kit's to take
        ("see [kit docs]", "see [kit docs]"),
    ],
)
def test_kit_s_mark_is_not_shown(where: Competition, message: str, shown: str) -> None:
    elsewhere = listed("8", message=message, file_name="other.csv", created=at(9999))
    write_receipt(receipt(message=message, path=where.submissions / "a.json", ref="7"))
    rows = ledger(where, [elsewhere]).rows
    assert [row.message for row in rows] == [shown, shown]


def test_marks_are_hexadecimal_words() -> None:
    assert marks("a 0123abcd b-feedbeef, 12345678 xdeadbeefx ABCDEF12") == {"0123abcd", "feedbeef"}


def test_answer_of_the_server_completes_a_receipt() -> None:
    waiting = receipt(status="sent", message="m [0123abcd]", error="no answer")
    answer = listed("5", message="m [0123abcd]", public=0.5, private=0.6)
    (new,) = answered(merge([waiting], [answer], "kaggle"))
    assert (new.ref, new.status, new.public, new.private, new.error) == (
        "5", "complete", 0.5, 0.6, "",
    )  # fmt: skip


def test_guess_by_file_and_time_is_shown_and_not_written() -> None:
    entries = merge([receipt(status="sent")], [listed("5", public=0.5)], "kaggle")
    assert len(entries) == 1
    assert answered(entries) == []


def test_known_scores_are_not_lost_to_a_withheld_or_older_answer() -> None:
    done = receipt(ref="5", status="complete", public=0.5, private=0.6)
    assert answered(merge([done], [listed("5")], "kaggle")) == []
    assert answered(merge([done], [listed("5", status="pending")], "kaggle")) == []


def test_settle_writes_what_changed_and_nothing_twice(where: Competition) -> None:
    write_receipt(receipt(ref="5", status="pending", path=where.submissions / "a.json"))
    answer = [listed("5", public=0.5)]
    assert [r.public for r in settle(where, answer)] == [0.5]
    assert read_receipts(where.submissions)[0][0].public == 0.5
    assert settle(where, answer) == []


def test_rows_tell_elsewhere_team_mate_late_and_unlisted(where: Competition) -> None:
    for name, ref in (("a", "1"), ("gone", "77")):
        write_receipt(
            receipt(
                file=f"submissions/{name}.csv", ref=ref, path=where.submissions / f"{name}.json"
            )
        )
    server = [
        listed("1", submitted_by="ada"),
        listed("2", submitted_by="bob", created=at(10), file_name="x.csv", public=0.25),
        listed("3", submitted_by="ada", created=at(20), late=True),
        listed("4", created=at(300)),
    ]
    rows = {row.ref: row for row in ledger(where, server, Contest(deadline=at(200))).rows}
    assert {ref: row.source for ref, row in rows.items()} == {
        "1": "kit", "2": "elsewhere", "3": "elsewhere", "4": "elsewhere", "77": "receipt",
    }  # fmt: skip
    # ada is taken for this account: our own receipt was listed as hers
    assert {ref for ref, row in rows.items() if row.by} == {"2"}
    assert rows["2"].by == "bob"
    assert (rows["2"].public, rows["2"].cv, rows["2"].name) == (0.25, None, "x.csv")
    assert {ref for ref, row in rows.items() if row.late} == {"3", "4"}


def test_account_that_the_provider_names_beats_the_guess(where: Competition) -> None:
    write_receipt(receipt(ref="1", path=where.submissions / "a.json"))
    server = [listed("1", submitted_by="ada")]
    (row,) = ledger(where, server, Contest(account="bob")).rows
    assert row.by == "ada"


def test_private_score_of_the_server_is_shown(where: Competition) -> None:
    write_receipt(receipt(ref="1", public=0.5, path=where.submissions / "a.json"))
    (row,) = ledger(where, [listed("1", public=0.5, private=0.75)]).rows
    assert (row.public, row.private) == (0.5, 0.75)


def test_list_is_kept_and_recalled_for_its_provider_only(where: Competition) -> None:
    server, event = [listed("1", public=0.5)], Contest(account="ada", deadline=at(0))
    remember(where, server, event)
    assert recall(where)[:2] == (server, event)
    assert recall(where)[2].startswith("20")
    other = Competition.load(where.root, ["provider.name=local"])
    assert recall(other) == ([], Contest(), "")


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"provider": "kaggle"}'])
def test_damaged_list_counts_as_not_there(content: str, where: Competition) -> None:
    remember(where, [listed("1")], Contest())
    (where.cache / "submissions.json").write_text(content)
    assert recall(where) == ([], Contest(), "")


def test_kept_scores_that_are_no_numbers_count_as_not_there(where: Competition) -> None:
    remember(where, [listed("1", public=0.5)], Contest())
    path = where.cache / "submissions.json"
    path.write_text(path.read_text().replace("0.5", '"much"'))
    assert recall(where) == ([], Contest(), "")
