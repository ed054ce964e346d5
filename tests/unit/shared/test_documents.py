from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from shared import documents
from shared.documents import (
    MEMBER_BYTES,
    DocumentTooLarge,
    admin_answered,
    read_admin_answer,
    read_admin_request,
    read_member_document,
    read_nonrt_document,
    read_primary_document,
    write_admin_request,
    write_member_document,
    write_nonrt_document,
)
from shared.segment import Segment


def test_member_document(rt: Segment, reader: Segment) -> None:
    assert read_member_document(reader, rt.member) == {}
    document = {"degraded": ["weil Größe fehlt"], "placement": {"cpu": [1, 2]}}
    write_member_document(rt, document)
    assert read_member_document(reader, rt.member) == document
    write_member_document(rt, {})
    assert read_member_document(reader, rt.member) == {}


def test_the_primary_s_document_needs_a_primary(rt: Segment, reader: Segment) -> None:
    write_member_document(rt, {"pid": 1})
    assert read_primary_document(reader) == {}
    rt.lease.owner = (3 << 16) | (rt.member + 1)
    assert (reader.primary(), reader.epoch()) == (rt.member, 3)
    assert read_primary_document(reader) == {"pid": 1}


def test_nonrt_document(nonrt: Segment, reader: Segment) -> None:
    write_nonrt_document(nonrt, {"ports": {"http": 8081}})
    assert read_nonrt_document(reader) == {"ports": {"http": 8081}}


def test_a_document_that_does_not_fit_changes_nothing(rt: Segment, reader: Segment) -> None:
    write_member_document(rt, {"a": 1})
    with pytest.raises(DocumentTooLarge):
        write_member_document(rt, {"a": "x" * MEMBER_BYTES})
    assert read_member_document(reader, rt.member) == {"a": 1}


def test_admin_requests_are_numbered_and_answered(rt: Segment, nonrt: Segment) -> None:
    assert read_admin_request(rt, 0) is None
    number = write_admin_request(nonrt, {"operation": "reload"})
    request = read_admin_request(rt, 0)
    assert request is not None
    assert (request.number, request.content) == (number, {"operation": "reload"})
    assert read_admin_request(rt, number) is None
    assert admin_answered(nonrt, rt.member) == 0
    rt.member_struct(rt.member).admin_reply = number
    assert admin_answered(nonrt, rt.member) == number
    assert read_admin_answer(nonrt, rt.member, number) is None
    answers = [{"number": number, "ok": True}, {"number": number + 1, "ok": False}]
    write_member_document(rt, {"admin": answers})
    rt.member_struct(rt.member).admin_reply = number + 1
    assert read_admin_answer(nonrt, rt.member, number) == answers[0]
    assert read_admin_answer(nonrt, rt.member, number + 1) == answers[1]
    assert read_admin_answer(nonrt, rt.member, number + 2) is None
    assert write_admin_request(nonrt, {"operation": "reload"}) == number + 1


def test_a_request_waits_until_the_one_before_is_read(
    rt: Segment, nonrt: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a few that are asked at once are answered, one after the other."""
    monkeypatch.setattr(documents, "_ADMIN_TAKEN_S", 60.0)
    rt.lease.owner = (1 << 16) | (rt.member + 1)
    done = threading.Event()
    seen: list[Any] = []

    def answer() -> None:
        after = 0
        while not done.is_set():
            request = read_admin_request(rt, after)
            if request is not None:
                after = request.number
                seen.append(request.content["operation"])
                rt.member_struct(rt.member).admin_reply = after
            time.sleep(0.02)

    reader = threading.Thread(target=answer)
    reader.start()
    askers = [
        threading.Thread(target=write_admin_request, args=(nonrt, {"operation": name}))
        for name in "abcde"
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    deadline = time.monotonic() + 10
    while len(seen) < len(askers) and time.monotonic() < deadline:
        time.sleep(0.01)
    done.set()
    reader.join()
    assert sorted(seen) == list("abcde")


def test_who_never_answers_is_not_waited_for_long(rt: Segment, nonrt: Segment) -> None:
    rt.lease.owner = (1 << 16) | (rt.member + 1)
    first = write_admin_request(nonrt, {"operation": "reload"})
    assert write_admin_request(nonrt, {"operation": "step_down"}) == first + 1
    request = read_admin_request(rt, 0)
    assert request is not None
    assert request.content == {"operation": "step_down"}


def test_what_is_no_json_reads_as_nothing(nonrt: Segment, reader: Segment) -> None:
    write_nonrt_document(nonrt, {"a": 1})
    nonrt.struct(19).text[0] = b"!"
    assert read_nonrt_document(reader) == {}
