"""Two clients whose first answers come at the same time."""

import threading
from typing import Any

import pytest
from kafka.protocol.metadata import MetadataResponse
from kafka.protocol.schemas.fields.struct import StructField

from rapport.kit.broker import kafka

assert kafka  # what is tested comes with it


def test_threads_that_decode_the_first_answer_of_a_kind_at_once_all_understand_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    struct = MetadataResponse._struct
    monkeypatch.setattr(struct, "_compiled_encoders", {})
    first_began, second_began, first_ended = threading.Event(), threading.Event(), threading.Event()
    real = StructField.emit_decode_from

    def emit(self: Any, *given: Any, **named: Any) -> None:
        if self is struct and threading.current_thread().name == "first":
            first_began.set()
            # In vain, where the second one waits for the first.
            second_began.wait(1)
        elif self is struct:
            second_began.set()
            first_ended.wait(10)
        real(self, *given, **named)

    monkeypatch.setattr(StructField, "emit_decode_from", emit)
    answer = MetadataResponse[1](throttle_time_ms=0, brokers=[], controller_id=1, topics=[]).encode(version=1)
    found: dict[str, Any] = {}

    def decode(name: str) -> None:
        try:
            found[name] = MetadataResponse[1].decode(answer)
        except Exception as error:
            found[name] = error
        if name == "first":
            first_ended.set()

    threads = [threading.Thread(target=decode, args=(name,), name=name) for name in ("first", "second")]
    threads[0].start()
    assert first_began.wait(10)
    threads[1].start()
    for thread in threads:
        thread.join(20)
    assert {name: type(each) for name, each in found.items()} == {"first": MetadataResponse, "second": MetadataResponse}
    assert type(MetadataResponse[1].decode(answer)) is MetadataResponse
