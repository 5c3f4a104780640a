"""When a cron is due: five or six fields, evaluated on the clock of a time zone."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter

from engine.errors import Invalid

_HOUR = 1
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""Within the years that we can read, 1 to 9999, in whatever zone PostgreSQL tells them."""
_LONGEST = 200  # letters: what is longer takes seconds to read
_REASON = (
    "Invalid cron schedule. Ensure the schedule uses the standard cron format (minute hour "
    "day_of_month month day_of_week). Example: '*/5 * * * *' for every 5 minutes."
)


@dataclass(frozen=True)
class Schedule:
    """`text` such as `*/5 * * * *`, with seconds as a sixth field, or `@daily`.

    `timezone` is IANA's name, None is UTC; there is nothing after `end`.
    """

    text: str
    timezone: str | None = None
    end: datetime | None = None

    def check(self) -> None:
        """Raises `Invalid` for what is no schedule, never comes, or has an unknown time zone."""
        self._zone()
        try:
            if len(self.text) <= _LONGEST and self._next(datetime.now(UTC)):
                return
        except ValueError as error:
            raise Invalid(f"Invalid cron schedule: '{self.text}'. Reason: {_REASON}") from error
        raise Invalid(f"Invalid cron schedule: '{self.text[:_LONGEST]}'. Reason: {_REASON}")

    def next(self, after: datetime) -> datetime | None:
        """The first moment behind `after`; None when there is none before the end."""
        found = self._next(after)
        return None if found and self.end and found > self.end else found

    def _next(self, after: datetime) -> datetime | None:
        zone = self._zone()
        moments = croniter(self.text, after.astimezone(zone))
        once = moments.expanded[_HOUR] != ["*"]
        try:
            while True:
                found: datetime = moments.get_next(datetime).astimezone(UTC)
                # Where clocks are set back an hour comes twice: a fixed time is its first.
                if not (once and found.astimezone(zone).fold):
                    return found
        except CroniterBadDateError:
            return None

    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self.timezone or "UTC")
        except (LookupError, ValueError, OSError) as error:
            raise Invalid(
                f"Invalid timezone: '{self.timezone}'. Use IANA timezone format (e.g. "
                "'America/New_York')."
            ) from error


def moment(text: str | None) -> datetime | None:
    """A time in ISO 8601, UTC unless it says otherwise. Raises `Invalid`."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"Invalid end_time: '{text}' is not a time in ISO 8601.") from error
    return max(_FIRST, min(at if at.tzinfo else at.replace(tzinfo=UTC), _LAST))
