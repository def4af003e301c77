"""Only what the platform signed is read: every byte, with the current secret or the one before."""

import base64
import hashlib
import hmac
import json
from datetime import timedelta

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


@pytest.mark.parametrize("platform", ["facebook", "instagram", "threads"])
def test_meta_is_answered_its_challenge_where_it_knows_the_token(platform: str) -> None:
    query = {"hub.mode": "subscribe", "hub.verify_token": TOKEN, "hub.challenge": "1158201444"}
    assert HOOKS[platform].challenge(query).body == b"1158201444"
    for wrong in ({**query, "hub.verify_token": "guess"}, {**query, "hub.mode": "unsubscribe"}, {}):
        with pytest.raises(UnsignedError):
            HOOKS[platform].challenge(wrong)


def test_x_is_answered_its_token_signed_with_the_current_secret() -> None:
    answer = HOOKS["x"].challenge({"crc_token": "MTcxNjQ1MDU2OTM1ODA5ODQzMg=="})
    digest = hmac.new(SECRET.encode(), b"MTcxNjQ1MDU2OTM1ODA5ODQzMg==", hashlib.sha256).digest()
    assert answer.media_type == "application/json"
    assert json.loads(answer.body) == {"response_token": "sha256=" + base64.b64encode(digest).decode()}


OAUTH2, OAUTH1 = "x-twitter-webhooks-signature-oauth2", "x-twitter-webhooks-signature"


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_x_signs_with_the_client_secret_or_with_the_consumer_secret_or_with_both(secret: str) -> None:
    hook = HOOKS["x"]
    signature = SIGNS["x"](BODY, secret, OBSERVED_AT)[OAUTH1]
    unknown = SIGNS["x"](BODY, "a-secret-that-nobody-entered-here", OBSERVED_AT)[OAUTH1]
    hook.check({OAUTH2: signature}, BODY, OBSERVED_AT)
    for other in ("", "sha256=", unknown, signature):
        hook.check({OAUTH2: signature, OAUTH1: other}, BODY, OBSERVED_AT)
        hook.check({OAUTH2: other, OAUTH1: signature}, BODY, OBSERVED_AT)
    for wrong in ({OAUTH2: unknown}, {OAUTH2: unknown, OAUTH1: unknown}, {OAUTH2: "", OAUTH1: ""}):
        with pytest.raises(UnsignedError, match="signature-oauth2"):
            hook.check(wrong, BODY, OBSERVED_AT)
    with pytest.raises(UnsignedError):
        hook.check({OAUTH2: signature}, BODY + b" ", OBSERVED_AT)


def test_linkedin_is_answered_its_code_signed_with_the_current_secret() -> None:
    code = "890e4665-4dfe-4ab1-b689-ed553bceeed0"
    answer = HOOKS["linkedin"].challenge({"challengeCode": code})
    digest = hmac.new(SECRET.encode(), code.encode(), hashlib.sha256).hexdigest()
    assert answer.media_type == "application/json"
    assert json.loads(answer.body) == {"challengeCode": code, "challengeResponse": digest}


@pytest.mark.parametrize(
    ("platform", "query"),
    [
        ("x", {}),
        ("x", {"crc_token": ""}),
        ("x", {"crc_token": '{"data":{"event_type":"post.create"}}'}),
        ("x", {"crc_token": "x" * 513}),
        ("linkedin", {}),
        ("linkedin", {"challengeCode": ""}),
        ("linkedin", {"challengeCode": 'hmacsha256={"type":"ORGANIZATION_SOCIAL_ACTION_NOTIFICATIONS"}'}),
        ("linkedin", {"challengeCode": "hmacsha256="}),
    ],
)
def test_nobody_gets_a_delivery_signed_by_calling_it_a_challenge(platform: str, query: dict[str, str]) -> None:
    with pytest.raises(UnsignedError):
        HOOKS[platform].challenge(query)


def test_linkedin_may_send_the_prefix_with_the_signature() -> None:
    [(name, digest)] = SIGNS["linkedin"](BODY, SECRET, OBSERVED_AT).items()
    HOOKS["linkedin"].check({name: f"hmacsha256={digest}"}, BODY, OBSERVED_AT)
    with pytest.raises(UnsignedError):
        HOOKS["linkedin"].check({name: f"sha256={digest}"}, BODY, OBSERVED_AT)


def test_what_tiktok_signed_too_long_ago_or_not_yet_is_refused_though_it_signed_it() -> None:
    hook = HOOKS["tiktok"]
    for seconds in (-300, -299, 0, 300):
        hook.check(SIGNS["tiktok"](BODY, SECRET, OBSERVED_AT + timedelta(seconds=seconds)), BODY, OBSERVED_AT)
    for seconds in (-86_400, -301, 301, 86_400):
        signed = SIGNS["tiktok"](BODY, SECRET, OBSERVED_AT + timedelta(seconds=seconds))
        with pytest.raises(UnsignedError, match="seconds old"):
            hook.check(signed, BODY, OBSERVED_AT)


def test_tiktok_signs_its_time_too_and_may_name_more_beside_it() -> None:
    hook, header = HOOKS["tiktok"], SIGNS["tiktok"](BODY, SECRET, OBSERVED_AT)["tiktok-signature"]
    sent, signature = header.split(",")
    for fine in (f"{signature},{sent}", f"{sent}, {signature}", f"{header},v=1"):
        hook.check({"tiktok-signature": fine}, BODY, OBSERVED_AT)
    newer = int(sent.removeprefix("t=")) + 1
    for wrong in (f"t={newer},{signature}", sent, signature, f"t=,{signature}", f"t=1e9,{signature}", f"{sent},s="):
        with pytest.raises(UnsignedError):
            hook.check({"tiktok-signature": wrong}, BODY, OBSERVED_AT)


def test_tiktok_asks_for_no_challenge() -> None:
    with pytest.raises(UnsignedError):
        HOOKS["tiktok"].challenge({"challenge": "1158201444"})
