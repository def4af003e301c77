"""What a reader sees of a status's HTML; and that no HTML takes long."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.connectors.mastodon.text import AROUND_BREAK, LONGEST_HTML, plain

AT = (
    '<span class="h-card"><a href="https://m.example/@roastery" class="u-url mention">@<span>roastery</span></a></span>'
)
SHORTENED = (
    '<a href="https://www.coffee.example/2026/a-long-address"><span class="invisible">https://www.</span>'
    '<span class="ellipsis">coffee.example/2026/a-</span><span class="invisible">long-address</span></a>'
)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("Just words", "Just words"),
        (f"<p>{AT} Is it back?</p>", "@roastery Is it back?"),
        ("<p>One<br />two<br>three</p><p>four</p>", "One\ntwo\nthree\n\nfour"),
        ("<p>One</p>\n\n\n<p>two</p>", "One\n\ntwo"),
        ("<p> a \n  b </p>", "a b"),
        ("<p>1 &lt; 2 &amp; 3 &#x2615; &nbsp;</p>", "1 < 2 & 3 ☕"),
        ("<ul><li>a</li><li>b</li></ul><blockquote>c</blockquote>", "a\n\nb\n\nc"),
        ("<pre><code>a\n  b</code></pre>", "a\nb"),
        (f"<p>See {SHORTENED}!</p>", "See coffee.example/2026/a-…!"),
        ('<p><span class="invisible"><span>no</span>no</span>yes</p>', "yes"),
        ('<p><span class="invisible">never closed</p><p>yes</p>', "yes"),
        ("<p>a</p><script>alert(1)</script><style>p{}</style>b", "a\n\nb"),
        ('<img alt=":coffee:" src="x"> <img>', ":coffee:"),
        ("a < b <p", "a < b <p"),
        ("<!-- no --><!DOCTYPE x><?php ?>yes", "yes"),
        ("<p>a</b></p></p></span>b", "a\n\nb"),
    ],
)
def test_the_text_is_what_a_reader_sees(html: str, text: str) -> None:
    assert plain(html)[0] == text


def test_links_lead_somewhere_and_people_and_hashtags_are_none() -> None:
    tag = '<a href="https://m.example/tags/a" class="mention hashtag" rel="tag">#a</a>'
    odd = '<a href="javascript:alert(1)">x</a><a>y</a><a href="mailto:a@b.example">z</a>'
    assert plain(f"{AT}{tag}{SHORTENED}{odd}")[1] == ["https://www.coffee.example/2026/a-long-address"]


def test_links_to_people_and_hashtags_are_known_without_a_class_too() -> None:
    at, tag = (
        '<a href="https://m.example/@ada">@ada</a>',
        '<a href="https://m.example/tags/a" rel="nofollow tag">#a</a>',
    )
    html = f'<p>{at} {tag} <a href="https://m.example/menu">menu</a></p>'
    assert plain(html, people={"https://m.example/@ada"}) == ("@ada #a menu", ["https://m.example/menu"])
    assert plain(html)[1] == ["https://m.example/@ada", "https://m.example/menu"]


def test_the_address_of_a_quoted_status_is_left_out_only_where_there_is_one() -> None:
    html = '<p class="quote-inline">RE: <a href="https://m.example/1">m.example/1</a></p><p>Look</p>'
    assert plain(html, quotes=True) == ("Look", [])
    assert plain(html) == ("RE: m.example/1\n\nLook", ["https://m.example/1"])


@pytest.mark.parametrize(
    "part", ["<!--", "<a ", "<p", "<a b='", "<a =", "<a\n", "</", "<![CDATA[", "<?", "<span>", "&"]
)
def test_no_html_takes_long(part: str) -> None:
    before = time.process_time()
    plain(part * LONGEST_HTML)
    assert time.process_time() - before < 5


def test_blanks_that_are_kept_take_no_longer() -> None:
    before = time.process_time()
    assert AROUND_BREAK.sub("\n", " " * 200_000 + "x") == " " * 200_000 + "x"
    assert time.process_time() - before < 5
    assert plain(f"<pre>a{' ' * 1_000}\n b</pre>")[0] == "a\nb"


@given(st.text(alphabet="<>/ab =\"'!-?&;#pspan\n\xa0", max_size=200) | st.text(max_size=50))
@settings(max_examples=300, deadline=None)
def test_whatever_it_is_there_is_a_text(html: str) -> None:
    text, _ = plain(html)
    assert text == text.strip()
    assert "\n\n\n" not in text
