from datetime import UTC, datetime, timedelta

import pytest

from engine.errors import Invalid
from engine.schedule import Schedule, moment

NEW_YORK = "America/New_York"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "+00:00")


def moments(schedule: Schedule, after: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        following = schedule.next(after)
        assert following is not None
        after = following
        found.append(after.strftime("%d %H:%M:%S"))
    return found


def test_a_time_zone_keeps_its_wall_clock_when_clocks_change() -> None:
    nine = Schedule("0 9 * * *", NEW_YORK)
    assert moments(nine, at("2026-03-07T00:00:00"), 3) == [
        "07 14:00:00",
        "08 13:00:00",  # set forward that night
        "09 13:00:00",
    ]


def test_a_time_that_the_clock_leaves_out_is_the_moment_it_goes_on() -> None:
    night = Schedule("30 2 * * *", NEW_YORK)
    assert moments(night, at("2026-03-07T12:00:00"), 2) == ["08 07:00:00", "09 06:30:00"]


def test_a_time_that_comes_twice_is_its_first() -> None:
    night = Schedule("30 1 * * *", NEW_YORK)
    assert moments(night, at("2026-10-31T12:00:00"), 2) == ["01 05:30:00", "02 06:30:00"]


@pytest.mark.parametrize("text", ["0 * * * *", "@hourly"])
def test_every_hour_is_also_the_one_that_comes_twice(text: str) -> None:
    assert moments(Schedule(text, NEW_YORK), at("2026-11-01T04:30:00"), 3) == [
        "01 05:00:00",
        "01 06:00:00",
        "01 07:00:00",
    ]


def test_seconds_are_a_sixth_field() -> None:
    every = Schedule("* * * * * */20")
    assert moments(every, at("2026-01-01T00:00:00.5"), 3) == [
        "01 00:00:20",
        "01 00:00:40",
        "01 00:01:00",
    ]
    assert moments(Schedule("@daily"), at("2026-01-01T00:00:00"), 1) == ["02 00:00:00"]


def test_there_is_nothing_after_the_end() -> None:
    schedule = Schedule("0 * * * *", end=at("2026-01-01T02:00:00"))
    assert moments(schedule, at("2026-01-01T00:30:00"), 2) == ["01 01:00:00", "01 02:00:00"]
    assert schedule.next(at("2026-01-01T02:00:00")) is None


@pytest.mark.parametrize(
    "text",
    [
        "bogus",
        "",
        "* * * *",
        "61 * * * *",
        "0 0 31 2 *",
        "0 0 1 1 * 0 1999",
        "*/1," * 99 + "* * * * *",
    ],
)
def test_what_is_no_schedule_or_never_comes_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"^Invalid cron schedule: '.*Reason: Invalid cron schedule"):
        Schedule(text).check()


@pytest.mark.parametrize("zone", ["Mars/X", "../etc/passwd", "America", "A" * 5_000, "\0"])
def test_a_time_zone_is_one_that_there_is(zone: str) -> None:
    with pytest.raises(Invalid, match=r"^Invalid timezone: "):
        Schedule("@daily", zone).check()


def test_a_time_is_utc_unless_it_says_otherwise() -> None:
    assert moment(None) is None
    assert moment("2026-01-01T00:00:00") == datetime(2026, 1, 1, tzinfo=UTC)
    shifted = moment("2026-01-01T00:00:00+02:00")
    assert shifted == datetime(2026, 1, 1, tzinfo=UTC) - timedelta(hours=2)
    with pytest.raises(Invalid, match="ISO 8601"):
        moment("tomorrow")
