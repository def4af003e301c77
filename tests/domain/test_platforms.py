"""Platforms are called what they call themselves."""

from rapport.domain.platforms import platform_name


def test_a_known_platform_has_its_own_spelling_and_another_a_capital_letter() -> None:
    assert [platform_name(each) for each in ("tiktok", "x", "youtube")] == ["TikTok", "X", "YouTube"]
    assert platform_name("newcomer") == "Newcomer"
