"""The container files say what the simulator and Fluent Bit understand.

No container engine is started here: the files are read and held against each other.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from logsim.options import parse
from tests.unit.logsim.multiline import read_conf
from tests.unit.logsim.produce import produce

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy" / "logsim"


def section(name: str, file: str) -> dict[str, str]:
    return next(dict(entries) for found, entries in read_conf(DEPLOY / file) if found == name)


def test_the_compose_file_fits_the_files_it_names() -> None:
    yaml = pytest.importorskip("yaml", reason="PyYAML is missing (pip install pyyaml)")
    compose = yaml.safe_load((DEPLOY / "docker-compose.yml").read_text())
    generator = compose["services"]["log-generator"]
    context = (DEPLOY / generator["build"]["context"]).resolve()
    assert context == ROOT
    assert (context / generator["build"]["dockerfile"]).is_file()
    defaults = [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", word) for word in generator["command"]]
    settings = parse(defaults)
    assert (settings.interval_s, settings.error_rate, settings.traceparent) == (2.0, 0.3, True)
    assert settings.output
    for name, service in compose["services"].items():
        sources = [volume.split(":") for volume in service["volumes"]]
        for source, target, *_ in sources:
            assert source in compose["volumes"] or (DEPLOY / source).is_file(), source
            if source in compose["volumes"]:
                assert settings.output.parent == Path(target)
        if name.startswith("fluent-bit"):
            conf = Path(service["command"][-1])
            assert str(conf) in {target for _, target, *_ in sources}
            assert section("INPUT", conf.name)["path"] == str(settings.output)


def test_the_dockerfile_copies_and_starts_what_exists() -> None:
    text = (DEPLOY / "Dockerfile.log-generator").read_text()
    for source in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
        assert (ROOT / source).exists()
    entry = re.search(r'^ENTRYPOINT \["python", "-m", "(\w+)"\]$', text, re.MULTILINE)
    assert entry
    assert (ROOT / entry[1] / "__main__.py").is_file()
    command = re.search(r"^CMD \[(.*)\]$", text, re.MULTILINE)
    assert command
    parse(re.findall(r'"([^"]+)"', command[1]))
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)


def test_fluent_bit_uses_the_parsers_that_are_shipped() -> None:
    names = {
        (found, dict(entries)["name"]) for found, entries in read_conf(DEPLOY / "parsers.conf")
    }
    assert section("SERVICE", "fluent-bit.conf")["parsers_file"] == "parsers.conf"
    multiline = section("INPUT", "fluent-bit.conf")["multiline.parser"]
    assert ("MULTILINE_PARSER", multiline) in names
    assert ("PARSER", section("FILTER", "fluent-bit.conf")["parser"]) in names
    for file in ("fluent-bit.conf", "fluent-bit-traces.conf"):
        assert section("OUTPUT", file)["name"] == "stdout"
        assert section("OUTPUT", file)["match"] == section("INPUT", file)["tag"]
    assert section("INPUT", "fluent-bit-traces.conf")["multiline.parser"] == "java, python"


def test_the_header_parser_takes_every_joined_record_apart() -> None:
    entries = dict(next(e for found, e in read_conf(DEPLOY / "parsers.conf") if found == "PARSER"))
    # Fluent Bit's named groups are Ruby's; only their spelling differs.
    header = re.compile(entries["regex"].replace("(?<", "(?P<"))
    texts, _ = produce(1500)
    for text in texts:
        match = header.match(text)
        assert match
        assert match["level"] in {"INFO", "WARN", "ERROR"}
        assert f"{match['service']}/v{match['version']}: {match['message']}" in text
    assert entries["time_format"] == "%Y-%m-%d %H:%M:%S.%L"
