"""Fluent Bit's multiline engine, as far as joining lines goes, and its built-in rules as data.

The engine: a parser remembers the rule that matched last. A line goes on if a rule matches that
leads on from the state this one led to and is not itself a start rule; else it may start a new
record; else the parser does not take it. The parser that took the last line is asked first, then
the others in their order; a line that none takes ends every open record and is a record of its own.
A rule that leads to a state from which a start rule leads on ends its record at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple


class Rule(NamedTuple):
    """From any of `states`, a line that matches `regex` leads to state `to`."""

    states: tuple[str, ...]
    regex: str
    to: str


START = "start_state"

# What the built-in parser `java` does: a line with an exception's name followed by a colon or its
# end starts; frames, causes, suppressed exceptions and the count of common frames go on.
JAVA = (
    Rule((START,), r".(?:Exception|Error|Throwable)(?::|$)", "after_exception"),
    Rule(("after_exception", "frames"), r"^[\t ]+at ", "frames"),
    Rule(("after_exception", "frames"), r"^[\t ]*(?:Caused by|Suppressed):", "after_exception"),
    Rule(
        ("after_exception", "frames"),
        r"^[\t ]*\.\.\. \d+ (?:more|common frames omitted)",
        "frames",
    ),
)

# What the built-in parser `python` does: file line and code line in turn, the exception ends.
PYTHON = (
    Rule((START,), r"^Traceback \(most recent call last\):$", "frames"),
    Rule(("frames",), r"^[\t ]+File ", "code"),
    Rule(("code",), r"[^\t ]", "frames"),
    Rule(("frames",), r"^(?:[^\s.():]+\.)*[^\s.():]+:", START),
)


@dataclass
class _Parser:
    rules: tuple[Rule, ...]
    last: Rule | None = None
    lines: list[str] = field(default_factory=list)

    def take(self, line: str) -> tuple[bool, list[list[str]]]:
        """Whether the line was taken, and the records that it completed."""
        done: list[list[str]] = []
        matched = None
        if self.last:
            matched = next(
                (
                    rule
                    for rule in self.rules
                    if self.last.to in rule.states
                    and START not in rule.states
                    and re.search(rule.regex, line)
                ),
                None,
            )
        if not matched:
            matched = next(
                (r for r in self.rules if START in r.states and re.search(r.regex, line)), None
            )
            if matched:
                done += self.flush()
        if not matched:
            return False, done
        self.lines.append(line)
        self.last = matched
        if any(matched.to in rule.states and START in rule.states for rule in self.rules):
            done += self.flush()
        return True, done

    def flush(self) -> list[list[str]]:
        lines, self.lines = self.lines, []
        return [lines] if lines else []


def join(lines: Iterable[str], *parsers: tuple[Rule, ...]) -> Iterator[list[str]]:
    """The records that Fluent Bit makes of `lines` with these parsers."""
    instances = [_Parser(rules) for rules in parsers]
    latest: _Parser | None = None
    for line in lines:
        order = sorted(instances, key=lambda parser: parser is not latest)
        for parser in order:
            taken, done = parser.take(line)
            yield from done
            if taken:
                latest = parser
                break
        else:
            for parser in instances:
                yield from parser.flush()
            yield [line]
    for parser in instances:
        yield from parser.flush()


Section = list[tuple[str, str]]


def read_conf(path: Path) -> list[tuple[str, Section]]:
    """The sections of a classic-mode configuration file: (name, [(key in lower case, value)])."""
    sections: list[tuple[str, Section]] = []
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if re.fullmatch(r"\[[A-Z_]+\]", line):
            sections.append((line[1:-1], []))
            continue
        parts = line.split(None, 1)
        if len(parts) != 2 or not sections or not raw.startswith("    "):
            raise ValueError(f"{path.name}:{number}: neither a section nor an entry: {raw!r}")
        sections[-1][1].append((parts[0].lower(), parts[1]))
    return sections


def shipped_rules(path: Path, name: str) -> tuple[Rule, ...]:
    """The rules of the [MULTILINE_PARSER] `name` in a parsers file."""
    for section, entries in read_conf(path):
        if section == "MULTILINE_PARSER" and dict(entries)["name"] == name:
            assert dict(entries)["type"] == "regex"
            rules = []
            for key, value in entries:
                if key == "rule":
                    match = re.fullmatch(r'"([^"]+)"\s+"/(.*)/"\s+"([^"]+)"', value)
                    assert match, value
                    states = tuple(state.strip() for state in match[1].split(","))
                    rules.append(Rule(states, match[2], match[3]))
            known = {state for rule in rules for state in rule.states}
            assert START in rules[0].states, "Fluent Bit wants a start rule first"
            assert all(rule.to in known for rule in rules), "a rule leads to a state nobody knows"
            return tuple(rules)
    raise LookupError(name)
