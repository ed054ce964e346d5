"""The shipped settings of shippers, Elasticsearch and Kibana against the table of fields."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nonrt_process.logs import ecs, elastic
from tests.helpers import ROOT

CONFIG = ROOT / "config"


def test_index_template_is_what_the_table_says() -> None:
    shipped = json.loads((CONFIG / "elasticsearch/index-template.json").read_text())
    assert shipped == elastic.index_template(), (
        "make it anew: python -m nonrt_process.logs.elastic > "
        "config/elasticsearch/index-template.json"
    )


def test_no_field_is_a_value_and_an_object() -> None:
    names = set(elastic.field_types())
    for name in names:
        parts = name.split(".")
        for upto in range(1, len(parts)):
            assert ".".join(parts[:upto]) not in names, name

    def check(properties: dict[str, Any]) -> None:
        for name, one in properties.items():
            if one.get("type") == "object":
                continue
            assert ("type" in one) != ("properties" in one), name
            check(one.get("properties", {}))

    check(elastic.mappings())


def test_filebeat_takes_the_lines_as_they_are() -> None:
    (source,) = yaml.safe_load((CONFIG / "filebeat/filebeat.yml").read_text())["filebeat.inputs"]
    assert source["type"] == "filestream"
    assert source["id"]
    (parser,) = source["parsers"]
    assert parser["ndjson"].items() >= {
        "target": "", "overwrite_keys": True, "expand_keys": True, "add_error_key": True,
    }.items()  # fmt: skip


def test_lifecycle_deletes_after_thirty_days() -> None:
    policy = json.loads((CONFIG / "elasticsearch/ilm-policy.json").read_text())["policy"]
    assert policy["phases"]["delete"]["min_age"] == "30d"
    template = elastic.index_template()["template"]["settings"]
    assert template["index.lifecycle.name"] == "mxrc-logs"


def test_kibana_objects_refer_to_what_is_there() -> None:
    lines = (CONFIG / "kibana/mxrc.ndjson").read_text().splitlines()
    objects = {(one["type"], one["id"]): one for one in map(json.loads, lines)}
    kinds = [kind for kind, _ in objects]
    assert kinds.count("index-pattern") == 1
    assert kinds.count("search") >= 3
    assert kinds.count("dashboard") == 1
    fields = elastic.field_types()
    for one in objects.values():
        for reference in one["references"]:
            assert (reference["type"], reference["id"]) in objects
        for column in one["attributes"].get("columns", []):
            assert column in fields, column
        source = one["attributes"].get("kibanaSavedObjectMeta", {}).get("searchSourceJSON", "{}")
        query = json.loads(source).get("query", {}).get("query", "")
        for field in re.findall(r"([a-z_.]+)(?::| >)", query):
            assert field in fields, field


def test_fluent_bit_and_rsyslog_read_both_files() -> None:
    for path in ("fluent-bit/fluent-bit.conf", "rsyslog/mxrc.conf"):
        text = (CONFIG / path).read_text()
        assert "/var/log/mxrc/rt_process.log" in text
        assert "/var/log/mxrc/non_rt_process.log" in text
        assert "mxrc-logs" in text


def test_every_level_is_known_to_the_table() -> None:
    assert ecs.FIELDS[ecs.LEVEL] == "keyword"


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslogd is missing")
def test_rsyslog_takes_its_settings(tmp_path: Path) -> None:
    settings = tmp_path / "rsyslog.conf"
    text = (CONFIG / "rsyslog/mxrc.conf").read_text()
    settings.write_text(f'global(workDirectory="{tmp_path}")\n{text}')
    done = subprocess.run(["rsyslogd", "-N1", "-f", str(settings)], capture_output=True, text=True)
    if "omelasticsearch" in done.stderr and "could not load module" in done.stderr:
        pytest.skip("rsyslog-elasticsearch is missing")
    assert done.returncode == 0, done.stderr
