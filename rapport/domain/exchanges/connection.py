"""When a brand's account was connected: older comments are backfilled, and none waits after it is disconnected."""

from bisect import bisect_left, bisect_right, insort

from msgspec import Struct


class Connection(Struct, omit_defaults=True):
    """When an account was connected and disconnected, in ms and in order."""

    connected: list[int] = []
    disconnected: list[int] = []

    def note(self, at: int, *, connected: bool) -> bool:
        """Notes a connection or its end; False where it is known already."""
        times = self.connected if connected else self.disconnected
        if at in times:
            return False
        insort(times, at)
        return True

    def live(self, at: int) -> bool:
        """Whether the account was connected at `at`. One that nothing is known about counts as connected."""
        since = bisect_right(self.connected, at)
        if not since:
            return not self.connected and not bisect_right(self.disconnected, at)
        ended = bisect_right(self.disconnected, at)
        return not ended or self.disconnected[ended - 1] < self.connected[since - 1]

    def ended_after(self, at: int) -> int | None:
        """When the account was first disconnected after `at`, if ever."""
        following = bisect_left(self.disconnected, at)
        return self.disconnected[following] if following < len(self.disconnected) else None
