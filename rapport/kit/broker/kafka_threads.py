"""Lets several threads use kafka-python, version 3.0.12, from their first answers on.

How a kind of answer is decoded is compiled when the first of it comes, and kept. Meanwhile the library changes what the
threads of all clients share. Where two of them compile at the same time, the second one can keep something that fails:
then no client of the process understands that kind of answer any more, and if it is the one to a login, none ever
connects again.
"""

import threading
from typing import Any

from kafka.protocol.schemas.fields.struct import StructField


def guard() -> None:
    """Makes threads compile one at a time. To be called once, before there is a client."""
    compiling, compiled = threading.RLock(), StructField.compiled_decode_from

    def one_at_a_time(*given: Any, **named: Any) -> Any:
        with compiling:
            return compiled(*given, **named)

    StructField.compiled_decode_from = one_at_a_time
