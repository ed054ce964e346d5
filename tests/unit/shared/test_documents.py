from __future__ import annotations

import pytest

from shared.documents import (
    MEMBER_BYTES,
    DocumentTooLarge,
    admin_answered,
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
    assert write_admin_request(nonrt, {"operation": "reload"}) == number + 1


def test_what_is_no_json_reads_as_nothing(nonrt: Segment, reader: Segment) -> None:
    write_nonrt_document(nonrt, {"a": 1})
    nonrt.struct(19).text[0] = b"!"
    assert read_nonrt_document(reader) == {}
