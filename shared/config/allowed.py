"""Words for what a JSON Schema node allows: for error messages and the reference page alike."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.config.errors import Loc
from shared.config.models.names import PATTERN_WORDS

Node = Mapping[str, Any]

_NUMBERS = {"integer": "an integer", "number": "a number"}
_PLURALS = {
    "an integer": "integers",
    "a number": "numbers",
    "a string": "strings",
    "an object": "objects",
}


def resolve(node: Node, schema: Node) -> Node:
    """`node`, with a $ref replaced by what it points to (notes beside the $ref win)."""
    reference = node.get("$ref")
    if reference is None:
        return node
    target = schema["$defs"][reference.rsplit("/", 1)[1]]
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def describe(node: Node, schema: Node) -> str:
    """A noun phrase: "an integer from 1 to 8", "a list of 1 to 8 objects" ..."""
    node = resolve(node, schema)
    if words := node.get("x-allowed"):
        return str(words)
    if "const" in node:
        return json.dumps(node["const"])
    if "enum" in node:
        return "one of " + ", ".join(json.dumps(value) for value in node["enum"])
    alternatives = node.get("anyOf") or node.get("oneOf")
    if alternatives:
        phrases = {describe(alternative, schema): None for alternative in alternatives}
        # null first: "null or a name that begins with a letter or digit" can be read one way only.
        return " or ".join(sorted(phrases, key=lambda phrase: phrase != "null"))
    kind = node.get("type")
    if kind in _NUMBERS:
        return f"{_NUMBERS[kind]}{_range(node)}"
    if kind == "string":
        return _string(node)
    if kind == "array":
        return _array(node, schema)
    return {"boolean": "true or false", "null": "null", "object": "an object"}.get(
        str(kind), "any value"
    )


def _range(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    parts = []
    if low is not None and high is not None:
        return f" from {_figure(low)} to {_figure(high)}"
    if above is not None:
        parts.append(f"above {_figure(above)}")
    if low is not None:
        parts.append(f"at least {_figure(low)}")
    if below is not None:
        parts.append(f"below {_figure(below)}")
    if high is not None:
        parts.append(f"at most {_figure(high)}")
    return " " + " and ".join(parts) if parts else ""


def _figure(value: float) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return str(value)


def _string(node: Node) -> str:
    pattern = node.get("pattern")
    if pattern in PATTERN_WORDS:
        return PATTERN_WORDS[pattern]
    words = f"a string matching {pattern}" if pattern else "a string"
    low, high = node.get("minLength"), node.get("maxLength")
    if low and high:
        return f"{words} of {low} to {high} characters"
    if high:
        return f"{words} of at most {high} characters"
    return words


def _array(node: Node, schema: Node) -> str:
    low, high = node.get("minItems", 0), node.get("maxItems")
    items = describe(node.get("items", {}), schema)
    for singular, plural in _PLURALS.items():
        if items.startswith(singular):
            items = plural + items.removeprefix(singular)
            break
    else:
        items = f"items, each {items}"
    if low and high:
        return f"a list of {low} to {high} {items}"
    if high:
        return f"a list of at most {high} {items}"
    return f"a list of {items}"


def find_node(schema: Node, loc: Loc, data: Any) -> Node:
    """The schema node of the value at `loc` inside the document `data`; {} where there is none."""
    node: Node = resolve(schema, schema)
    for part in loc:
        node = _choose(node, part, data, schema)
        if isinstance(part, int):
            node = node.get("items", {})
            data = data[part] if isinstance(data, list) and part < len(data) else None
        else:
            node = _property(node, part)
            data = data.get(part) if isinstance(data, Mapping) else None
        node = resolve(node, schema)
    return _choose(node, None, data, schema) if node.get("discriminator") else node


def _property(node: Node, name: str) -> Node:
    """The schema of a property: declared, or one of a mapping with free names."""
    declared: Node | None = node.get("properties", {}).get(name)
    if declared is not None:
        return declared
    for pattern, value in node.get("patternProperties", {}).items():
        if re.search(pattern, name):
            return value  # type: ignore[no-any-return]
    rest = node.get("additionalProperties")
    return rest if isinstance(rest, Mapping) else {}


def describe_names(node: Node) -> str:
    """Words for the names that a mapping may have: "a name of ..."."""
    patterns = node.get("patternProperties", {})
    return " or ".join(PATTERN_WORDS.get(one, f"a name matching {one}") for one in patterns)


def _choose(node: Node, part: str | int | None, data: Any, schema: Node) -> Node:
    """Of a union, the alternative that `data` is meant to be."""
    discriminator = node.get("discriminator")
    if discriminator and isinstance(data, Mapping):
        tag = data.get(discriminator["propertyName"])
        reference = discriminator["mapping"].get(tag) if isinstance(tag, str) else None
        return resolve({"$ref": reference}, schema) if reference else node
    for alternative in node.get("anyOf", ()):
        candidate = _choose(resolve(alternative, schema), part, data, schema)
        if candidate.get("type") == ("array" if isinstance(part, int) else "object"):
            return candidate
    return node
