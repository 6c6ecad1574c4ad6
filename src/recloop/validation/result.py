"""Result of the validation as plain data, which can be read without Great Expectations."""

from typing import Any

from pydantic import BaseModel


class RuleFailure(BaseModel):
    """Rule that does not hold, and the first rows that break it.

    Attributes:
        suite: Name of the suite.
        rule: Name of the expectation.
        column: Column that the rule checks, if it checks one.
        severity: `critical` or `warning`.
        count: Number of rows that break the rule.
        rows: First of these rows, by their keys, or the observed value.
    """

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


class ValidationResult(BaseModel):
    """Result of all suites.

    Attributes:
        passed: Whether no critical rule failed, so that training may go on.
        rules: Number of rules that were checked.
        failures: Rules that failed.
    """

    passed: bool
    rules: int
    failures: list[RuleFailure]

    def reasons(self) -> list[str]:
        """Return a sentence for each failure, critical ones first."""
        return [str(f) for f in sorted(self.failures, key=lambda f: f.severity != "critical")]
