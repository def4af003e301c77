"""When an authority ends."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from rapport.kit.certificates import ends


def test_the_first_of_several_counts(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    assert ends(file) == 0
    file.write_text("no certificate")
    assert ends(file) == 0
    first, second = trustme.CA(), trustme.CA()
    file.write_bytes(first.cert_pem.bytes() + second.cert_pem.bytes())
    assert ends(file) == pytest.approx(datetime(3000, 1, 1, tzinfo=UTC).timestamp(), abs=40_000_000)
