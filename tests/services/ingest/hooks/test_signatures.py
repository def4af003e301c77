"""Only what the platform signed is read: every byte, with the current secret or the one before."""

import pytest

from services.ingest.hooks.hook import UnsignedError
from tests.deliveries import HOOKS, OBSERVED_AT, OLD_SECRET, SECRET, TOKEN
from tests.deliveries.signing import SIGNS

BODY = b'{"object":"page","entry":[]}'


@pytest.mark.parametrize("platform", sorted(HOOKS))
@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_both_secrets_count_while_one_is_rotated_in(platform: str, secret: str) -> None:
    HOOKS[platform].check(SIGNS[platform](BODY, secret, OBSERVED_AT), BODY, OBSERVED_AT)


@pytest.mark.parametrize("platform", sorted(HOOKS))
def test_one_flipped_bit_in_any_byte_of_body_or_signature_is_refused(platform: str) -> None:
    hook, headers = HOOKS[platform], SIGNS[platform](BODY, SECRET, OBSERVED_AT)
    for place in range(len(BODY)):
        for bit in (1, 128):
            flipped = bytearray(BODY)
            flipped[place] ^= bit
            with pytest.raises(UnsignedError):
                hook.check(headers, bytes(flipped), OBSERVED_AT)
    for name, value in headers.items():
        for place in range(len(value)):
            other = value[:place] + ("0" if value[place] != "0" else "1") + value[place + 1 :]
            with pytest.raises(UnsignedError):
                hook.check({**headers, name: other}, BODY, OBSERVED_AT)


@pytest.mark.parametrize("platform", sorted(HOOKS))
@pytest.mark.parametrize("given", ["", "sha256=", "sha1=abc", "\udcff", "é" * 64, "0" * 100_000], ids=ascii)
def test_no_signature_and_odd_ones_are_refused(platform: str, given: str) -> None:
    hook = HOOKS[platform]
    with pytest.raises(UnsignedError):
        hook.check({}, BODY, OBSERVED_AT)
    for name in SIGNS[platform](BODY, SECRET, OBSERVED_AT):
        with pytest.raises(UnsignedError):
            hook.check({name: given}, BODY, OBSERVED_AT)


def test_meta_is_answered_its_challenge_where_it_knows_the_token() -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "1158201444"}
    assert HOOKS["facebook"].challenge(query).body == b"1158201444"
    for wrong in ({**query, "hub.verify_token": "guess"}, {**query, "hub.mode": "unsubscribe"}, {}):
        with pytest.raises(UnsignedError):
            HOOKS["facebook"].challenge(wrong)
