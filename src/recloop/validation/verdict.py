"""What the gate found, as plain data: readable without Great Expectations."""

from typing import Any

from pydantic import BaseModel


class Failure(BaseModel):
    """One rule that does not hold, and the first rows that break it."""

    suite: str
    rule: str
    column: str | None
    severity: str
    count: int
    rows: list[dict[str, Any]]

    def __str__(self) -> str:
        where = f" on {self.column}" if self.column else ""
        rows = f"broken by {self.count} rows, first {self.rows[:3]}"
        return f"{self.severity}: {self.suite}: {self.rule}{where} {rows}"


class Verdict(BaseModel):
    """Whether training may go on: no critical rule failed."""

    passed: bool
    rules: int
    failures: list[Failure]

    def reasons(self) -> list[str]:
        """A sentence for each failure, critical ones first."""
        return [str(f) for f in sorted(self.failures, key=lambda f: f.severity != "critical")]
