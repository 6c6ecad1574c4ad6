"""Compare two recordings of `record_lists.py`, request by request.

    python -m benchmarks.versions.compare_lists before.json after.json

Two results are equal when they have the same ids in the same order, numbers that differ by at most
the tolerance, and otherwise the same fields. They are tied when only items whose scores are equal
within the tolerance changed places. Prints JSON with the counts of each kind of request, the
largest difference of a score, and the first examples. The exit code is 0 when no result is
different (ties are allowed), 1 when one is, and 2 when the files hold different requests.

Where a version has other names of channels, `--renames` is a JSON file whose object `reasons` maps
old names to new ones. `--ignore explanation` leaves out the sentences, if their wording changed.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

Json = dict[str, Any]

EQUAL, TIED, DIFFERENT = "equal", "tied", "different"
_ORDER, _TIES = "items", "ties"
_MISSING = object()


class DifferentRequestsError(ValueError):
    """Two recordings do not hold the same requests."""


@dataclass
class Summary:
    """Counts by kind and by phase, of fields that differ, and the first examples."""

    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    phases: dict[str, Counter[str]] = field(default_factory=dict)
    fields: Counter[str] = field(default_factory=Counter)
    largest_score_difference: float = 0.0
    examples: list[Json] = field(default_factory=list)

    def add(self, before: Json, after: Json, found: Sequence[str], examples: int) -> None:
        """Count one pair of records that differ in the fields `found`."""
        outcome = DIFFERENT if set(found) - {_TIES} else TIED if found else EQUAL
        request = before["request"]
        self.kinds.setdefault(request["kind"], Counter())[outcome] += 1
        self.phases.setdefault(before["phase"], Counter())[outcome] += 1
        self.fields.update(found)
        step = _largest_score_difference(before["result"], after["result"])
        self.largest_score_difference = max(self.largest_score_difference, step)
        shown = sum(each["outcome"] == outcome for each in self.examples)
        if outcome != EQUAL and shown < examples:
            self.examples.append(_example(before, after, found, outcome))

    def document(self) -> Json:
        """Return the summary as JSON."""
        return {
            "requests": sum(counts.total() for counts in self.kinds.values()),
            **{name: self.count(name) for name in (EQUAL, TIED, DIFFERENT)},
            "largest_score_difference": self.largest_score_difference,
            "fields": dict(self.fields.most_common()),
            "kinds": {name: _counts(counts) for name, counts in sorted(self.kinds.items())},
            "phases": {name: _counts(counts) for name, counts in self.phases.items()},
            "examples": self.examples,
        }

    def count(self, outcome: str) -> int:
        """Return the number of requests with this outcome."""
        return sum(counts[outcome] for counts in self.kinds.values())


def compare(
    before: Sequence[Json],
    after: Sequence[Json],
    tolerance: float,
    ignored: Sequence[str] = (),
    examples: int = 5,
) -> Summary:
    """Compare two recordings of the same requests.

    Args:
        before: Records of the first recording.
        after: Records of the second one.
        tolerance: Largest absolute difference of numbers that count as equal.
        ignored: Names of fields whose differences do not count.
        examples: Number of examples of each outcome that the summary keeps.

    Raises:
        DifferentRequestsError: The recordings do not hold the same requests.
    """
    if len(before) != len(after):
        raise DifferentRequestsError(f"{len(before)} requests before, {len(after)} after.")
    summary = Summary()
    for one, other in zip(before, after, strict=True):
        if one["request"] != other["request"]:
            raise DifferentRequestsError(f"Request {one['number']} is not the same.")
        found = dict.fromkeys(_differences(one["result"], other["result"], tolerance))
        summary.add(one, other, [name for name in found if name not in ignored], examples)
    return summary


def rename_reasons(records: Sequence[Json], renames: Mapping[str, str]) -> None:
    """Replace names in the reasons of all recorded items, in place."""
    lists = (items for each in records for items in each["result"].get("lists", {}).values())
    for item in (item for items in lists for item in items):
        if reasons := item.get("reasons"):
            item["reasons"] = {renames.get(name, name): reasons[name] for name in reasons}


def _differences(before: Json, after: Json, tolerance: float) -> Iterator[str]:
    """Yield the names of the fields in which two results differ."""
    if before["status"] != after["status"]:
        yield "status"
    yield from _differing(before["other"], after["other"], tolerance)
    one, other = before.get("lists", {}), after.get("lists", {})
    if one.keys() != other.keys():
        yield "lists"
    for name in one.keys() & other.keys():
        yield from _list_differences(one[name], other[name], tolerance)


def _list_differences(
    before: Sequence[Json], after: Sequence[Json], tolerance: float
) -> Iterator[str]:
    """Yield the fields in which two lists differ; `ties` or `items` stands for another order."""
    tied = False
    if _ids(before) != _ids(after):
        tied = _differ_by_ties(before, after, tolerance)
        yield _TIES if tied else _ORDER
    moved = {"position"} if tied else set()
    found = {item["item_id"]: item for item in after}
    for item in before:
        if item["item_id"] in found:
            for name in _differing(item, found[item["item_id"]], tolerance):
                if name not in moved:
                    yield name


def _differ_by_ties(before: Sequence[Json], after: Sequence[Json], tolerance: float) -> bool:
    """Return whether only neighbours with equal scores changed places."""
    if len(before) != len(after):
        return False
    scores = [item["score"] for item in before]
    if not _equal(scores, [item["score"] for item in after], tolerance):
        return False
    ends = [n for n, (a, b) in enumerate(pairwise(scores), 1) if abs(a - b) > tolerance]
    groups = pairwise([0, *ends, len(before)])
    return all(sorted(_ids(before[i:j])) == sorted(_ids(after[i:j])) for i, j in groups)


def _differing(before: Json, after: Json, tolerance: float) -> list[str]:
    """Return the names of the fields in which two objects differ."""
    return [
        name
        for name in dict.fromkeys([*before, *after])
        if not _equal(before.get(name, _MISSING), after.get(name, _MISSING), tolerance)
    ]


def _equal(before: object, after: object, tolerance: float) -> bool:
    """Return whether two JSON values are equal, numbers within the tolerance."""
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and not _differing(before, after, tolerance)
    if isinstance(before, list) and isinstance(after, list):
        pairs = zip(before, after, strict=False)
        return len(before) == len(after) and all(_equal(a, b, tolerance) for a, b in pairs)
    if _is_number(before) and _is_number(after):
        return bool(abs(before - after) <= tolerance)  # type: ignore[operator]
    return before == after


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _largest_score_difference(before: Json, after: Json) -> float:
    largest = 0.0
    for name, items in before.get("lists", {}).items():
        scores = {item["item_id"]: item["score"] for item in after.get("lists", {}).get(name, [])}
        steps = [abs(i["score"] - scores[i["item_id"]]) for i in items if i["item_id"] in scores]
        largest = max([largest, *steps])
    return largest


def _example(before: Json, after: Json, found: Sequence[str], outcome: str) -> Json:
    """Return the request, the names of the fields that differ, and the first items that do."""
    example = {"number": before["number"], "phase": before["phase"], "outcome": outcome}
    example |= {"fields": list(found), "request": before["request"]}
    one, other = before["result"], after["result"]
    for name, items in one.get("lists", {}).items():
        for place, pair in enumerate(
            zip(items, other.get("lists", {}).get(name, []), strict=False)
        ):
            if pair[0] != pair[1]:
                sides = dict(zip(("before", "after"), pair, strict=True))
                return example | {"list": name, "place": place} | sides
    sizes = [
        {n: result[n] for n in ("status", "other")}
        | {"items": {name: len(items) for name, items in result.get("lists", {}).items()}}
        for result in (one, other)
    ]
    return example | dict(zip(("before", "after"), sizes, strict=True))


def _ids(items: Sequence[Json]) -> list[str]:
    return [item["item_id"] for item in items]


def _counts(counts: Counter[str]) -> dict[str, int]:
    return {name: counts[name] for name in (EQUAL, TIED, DIFFERENT)}


def main() -> int:
    """Read the command line and the files, compare, print JSON."""
    parser = argparse.ArgumentParser(description="Compare two recordings of lists.")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=1e-5)
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="FIELD", help="a field; repeatable"
    )
    parser.add_argument("--renames", type=Path, help='JSON: {"reasons": {"old": "new"}}')
    parser.add_argument("--examples", type=int, default=5, help="of each outcome")
    arguments = parser.parse_args()
    before, after = (
        json.loads(path.read_text(encoding="utf-8")) for path in (arguments.before, arguments.after)
    )
    if arguments.renames:
        renames = json.loads(arguments.renames.read_text(encoding="utf-8"))["reasons"]
        rename_reasons(before, renames)
    try:
        summary = compare(before, after, arguments.tolerance, arguments.ignore, arguments.examples)
    except DifferentRequestsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    print(json.dumps(summary.document(), indent=2, ensure_ascii=False))
    return bool(summary.count(DIFFERENT))


if __name__ == "__main__":
    sys.exit(main())
