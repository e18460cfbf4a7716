"""The states of one alert, after Prometheus' `for` and `keep_firing_for`. Pure: time and value come in.

inactive --breach--> pending --for_seconds of breach--> firing --keep_firing_seconds without--> (resolved) inactive
"""

from __future__ import annotations

from typing import Literal

import msgspec

from processors.alert.rules import Rule

State = Literal["inactive", "pending", "firing"]
Change = Literal["pending", "firing", "resolved"]


class Machine(msgspec.Struct):
    """One alert of one rule for one model. `started_at` is when the breach began, in Unix seconds.

    `breaches` counts them: two may begin at the same moment of stream time, and are two alerts.
    """

    state: State = "inactive"
    started_at: float = 0.0
    last_breach: float = 0.0
    breaches: int = 0

    def advance(self, rule: Rule, now: float, value: float | None) -> list[Change]:
        """Take the rule's value at `now` (None: not enough events to say) and return what changed, in order."""
        changes: list[Change] = []
        limit = rule.recovers_at if self.state == "firing" else rule.threshold
        if value is not None and value > limit:
            self.last_breach = now
            if self.state == "inactive":
                self.state, self.started_at = "pending", now
                self.breaches += 1
                if rule.for_seconds > 0:
                    changes.append("pending")
            if self.state == "pending" and now - self.started_at >= rule.for_seconds:
                self.state = "firing"
                changes.append("firing")
        elif self.state == "pending":
            self.state = "inactive"
            if rule.for_seconds > 0:
                changes.append("resolved")
        elif self.state == "firing" and now - self.last_breach >= rule.keep_firing_seconds:
            self.state = "inactive"
            changes.append("resolved")
        return changes
