"""Passwords are guessed slowly, and nobody is locked out by a stranger."""

from __future__ import annotations

from copypro_gateway.entry.buckets import Buckets
from copypro_gateway.entry.guessing import Guessing, GuessLimits, Try

LIMITS = GuessLimits()
OWNER = Try("Owner@example.com", "10.0.0.1")


def tries_until_refused(guessing: Guessing, attempts: list[Try], now: float = 0.0) -> int:
    for number, attempt in enumerate(attempts):
        if guessing.begin(attempt, now) > 0:
            return number
    raise AssertionError("never refused")


def test_a_bucket_gives_its_burst_and_then_what_is_earned() -> None:
    buckets = Buckets(per_s=2.0, burst=3)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    assert buckets.take("b", 0.0) == 0.0, "another one's is untouched"
    assert buckets.take("a", 0.5) == 0.0
    assert buckets.take("a", 0.5) == 0.5
    assert [buckets.take("a", 99.0) for _ in range(4)][2:] == [0.0, 0.5], "never above the burst"


def test_no_limit_is_no_limit_and_memory_is_bounded() -> None:
    assert {Buckets(0.0, 0.0).take("a", 0.0) for _ in range(100)} == {0.0}
    few = Buckets(per_s=1.0, burst=1, most=2)
    for name in ("a", "b", "c"):
        few.take(name, 0.0)
    assert few.take("c", 0.0) > 0
    assert few.take("a", 0.0) == 0.0, "forgotten: the oldest"


def test_one_e_mail_from_one_address_is_tried_a_few_times_and_then_once_a_minute() -> None:
    guessing = Guessing(LIMITS)
    stranger = Try("owner@example.com", "10.6.6.6")
    assert tries_until_refused(guessing, [stranger] * 10) == LIMITS.pair_tries
    assert guessing.begin(Try("OWNER@example.com", "10.6.6.6"), 0.0) > 0, "whatever the case"
    assert guessing.begin(stranger, LIMITS.pair_every_s) == 0.0


def test_many_e_mails_from_one_address_are_limited_too() -> None:
    guessing = Guessing(LIMITS)
    attempts = [Try(f"{n}@example.com", "10.6.6.6") for n in range(100)]
    assert tries_until_refused(guessing, attempts) == LIMITS.address_tries


def test_many_addresses_do_not_lock_out_an_owner_who_signs_in_from_a_known_one() -> None:
    guessing = Guessing(LIMITS)
    assert guessing.begin(OWNER, 0.0) == 0.0
    guessing.right(OWNER, 0.0)
    strangers = [Try(OWNER.email, f"10.6.{n}.1") for n in range(200)]
    assert tries_until_refused(guessing, strangers) == LIMITS.email_tries
    assert guessing.begin(OWNER, 0.0) == 0.0
    elsewhere = Try(OWNER.email, "10.0.0.2")
    assert guessing.begin(elsewhere, 0.0) > 0
    assert guessing.begin(elsewhere, LIMITS.email_every_s) == 0.0, "not for ever"


def test_a_right_password_costs_nothing_and_a_refusal_neither() -> None:
    guessing = Guessing(LIMITS)
    for _ in range(100):
        assert guessing.begin(OWNER, 0.0) == 0.0
        guessing.right(OWNER, 0.0)
    fresh = Guessing(LIMITS)
    stranger = Try("x@example.com", "10.6.6.6")
    tries_until_refused(fresh, [stranger] * 100)
    others = [Try(f"{n}@example.com", "10.6.6.6") for n in range(100)]
    paid = LIMITS.pair_tries
    assert tries_until_refused(fresh, others) == LIMITS.address_tries - paid


def test_each_wrong_try_is_answered_later_than_the_one_before() -> None:
    guessing = Guessing(LIMITS)
    waits = []
    for _ in range(3):
        guessing.begin(OWNER, 0.0)
        waits.append(round(guessing.wrong_s(OWNER, 0.0), 3))
    assert waits == [0.2, 0.4, 0.6]
