"""The Elasticsearch index template of the log files, made from the table of fields.

`python -m nonrt_process.logs.elastic > config/elasticsearch/index-template.json`; a test holds the
file to it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from nonrt_process.logs import ecs
from shared.events import event_table


def field_types() -> dict[str, str]:
    """Every field that a line may have -> Elasticsearch type."""
    types = dict(ecs.FIELDS)
    for row in event_table().values():
        for argument in row.arguments:
            field = ecs.argument_field(argument.name, argument.unit)
            types.setdefault(field, ecs.argument_type(argument.unit))
    return types


def mappings() -> dict[str, Any]:
    """Nested `properties`, as Elasticsearch wants them."""
    root: dict[str, Any] = {}
    for field, kind in sorted(field_types().items()):
        *path, last = field.split(".")
        level = root
        for part in path:
            level = level.setdefault(part, {}).setdefault("properties", {})
        level.setdefault(last, {}).update(_mapping(kind))
    return root


def _mapping(kind: str) -> dict[str, Any]:
    if kind == "text":
        return {"type": "match_only_text"}
    if kind == "keyword":
        return {"type": "keyword", "ignore_above": 1024}
    if kind == "object":
        return {"type": "object", "dynamic": True}
    return {"type": kind}


def index_template() -> dict[str, Any]:
    """Body of PUT _index_template/mxrc-logs: a data stream under the lifecycle mxrc-logs."""
    return {
        "index_patterns": ["mxrc-logs*"],
        "data_stream": {},
        "priority": 200,
        "template": {
            "settings": {
                "index.lifecycle.name": "mxrc-logs",
                "index.mapping.total_fields.limit": 2000,
                "index.codec": "best_compression",
            },
            "mappings": {
                "dynamic_templates": [
                    {"labels": {"path_match": "labels.*", "mapping": {"type": "keyword"}}},
                    {
                        "mxrc_texts": {
                            "path_match": "mxrc.*",
                            "match_mapping_type": "string",
                            "mapping": {"type": "keyword", "ignore_above": 1024},
                        }
                    },
                    {
                        "mxrc_numbers": {
                            "path_match": "mxrc.*",
                            "match_mapping_type": "long",
                            "mapping": {"type": "double"},
                        }
                    },
                ],
                "properties": mappings(),
            },
        },
    }


if __name__ == "__main__":
    json.dump(index_template(), sys.stdout, indent=2)
    sys.stdout.write("\n")
