"""The inbox's page: what has arrived, newest first, refreshed every two seconds."""

import html
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rapport.kit.text import web_address

SHOWN = 200


@dataclass(frozen=True)
class Received:
    """One mail or webhook. Its `id` is stable, so that what is delivered twice counts once."""

    id: str
    way: str
    """`mail` or `webhook`."""
    at: datetime
    brand: str
    subject: str
    text: str
    link: str | None
    step: str | None = None
    exchange: str | None = None


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Inbox · Rapport demonstration</title>
<link rel="stylesheet" href="/inbox.css">
<script src="/inbox.js" defer></script>
</head>
<body>
<header><h1>Inbox</h1><p>Mails and webhooks that Rapport sends to the three brands. Every webhook here had a valid
signature.</p></header>
<main id="list" aria-live="polite"><p class="empty">Nothing yet.</p></main>
</body>
</html>
"""

SCRIPT = """"use strict";
let shown = "";
async function refresh() {
  try {
    const text = await (await fetch("/list")).text();
    if (text !== shown) {
      const open = new Set([...document.querySelectorAll("details[open]")].map((one) => one.id));
      document.getElementById("list").innerHTML = shown = text;
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    }
  } catch {
    document.body.classList.add("gone");
    return;
  }
  setTimeout(refresh, 2000);
}
refresh();
"""

STYLE = """
:root { color-scheme: light dark; --line: #8884; --mail: #1d6fb8; --webhook: #7a4fb5; --breach: #b3261e; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1rem; }
h1 { margin: 0.5rem 0 0; }
header p, .empty, time { color: #767676; }
details { border: 1px solid var(--line); border-radius: 8px; margin: 0.5rem 0; padding: 0.6rem 0.9rem; }
summary { cursor: pointer; display: flex; gap: 0.7rem; align-items: baseline; }
summary strong { flex: 1; font-weight: 500; overflow-wrap: anywhere; }
.way { color: #fff; border-radius: 99px; padding: 0 0.6rem; font-size: 0.8rem; background: var(--mail); }
.way.webhook { background: var(--webhook); }
.overdue strong { color: var(--breach); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: 0.9rem; }
.gone main { opacity: 0.4; }
@media (prefers-color-scheme: dark) { :root { --breach: #ff8a80; } header p, .empty, time { color: #a5a5a5; } }
"""


def items(received: Iterable[Received]) -> str:
    """The list as HTML, with every text escaped."""
    found = list(received)
    if not found:
        return '<p class="empty">Nothing yet. The first warnings and overdue comments arrive within seconds.</p>'
    shown = "".join(_item(one) for one in found[:SHOWN])
    rest = f'<p class="empty">and {len(found) - SHOWN} older ones</p>' if len(found) > SHOWN else ""
    return f'<p class="empty">{len(found)} so far</p>{shown}{rest}'


def _item(one: Received) -> str:
    overdue = one.subject.startswith(("Overdue", "alert.breach"))
    link = web_address(one.link)
    anchor = f'<p><a href="{html.escape(link)}">Open in the portal</a></p>' if link else ""
    return (
        f'<details id="{html.escape(f"{one.way}-{one.id}")}"{" class=overdue" if overdue else ""}>'
        f'<summary><span class="way {one.way}">{one.way}</span><strong>{html.escape(one.subject)}</strong>'
        f"<time>{one.at:%H:%M:%S}</time></summary>{anchor}<pre>{html.escape(one.text)}</pre></details>"
    )
