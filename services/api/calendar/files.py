"""Imports planned posts from a file: first it shows how the file is read, then it takes the good rows."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from rapport.kit.text import written
from services.api.brands.documents import BrandDocument
from services.api.calendar import service as calendar
from services.api.calendar import times
from services.api.calendar.repository import Calendar
from services.api.calendar.schemas import BadPlan, Planned, PlannedInput, PlannedTerms, PlansImported, TimesRead
from services.api.calendar.service import COLUMNS
from services.api.calendar.times import Order
from services.api.http.files import tables
from services.api.http.files.spreadsheet import unguarded
from services.api.http.files.tables import Row
from services.api.http.patterns import said
from services.api.http.pools import FILES
from services.api.http.problems import ProblemError, invalid
from services.api.storage.tenants import Database, Tenants

NEEDED = ("planned_at", "account", "text")
MOST_ROWS = 2_000


async def import_file(
    database: Database, brand: BrandDocument, raw: bytes, agree: bool, dates: Order | None, now: datetime
) -> PlansImported:
    """Reads a file of planned posts, and stores its good rows if `agree` is set. Raises ProblemError (422)."""
    table = await FILES.run(brand["_id"], tables.read, raw, COLUMNS, NEEDED, MOST_ROWS)
    zone = ZoneInfo(brand["settings"]["timezone"])
    typed = [row.cells.get("planned_at", "") for row in table.rows]
    has_slashes = any(times.shape_of(each) == times.SLASHES for each in typed)
    order = (times.order_of(typed) or dates) if has_slashes else None
    good, bad = await _judged(database, brand["_id"], table.rows, zone, order)
    asks = has_slashes and order is None
    taken = Counter([await _take(database, brand["_id"], new, now) for new in (good if agree and not asks else ())])
    return PlansImported(
        good=len(good),
        bad=bad,
        past=sum(new.planned_at < now and new.state != "cancelled" for new in good),
        separator=table.separator,
        encoding=table.encoding,
        times=_times(typed, zone, order),
        dates=order,
        asks_dates=asks,
        added=taken["added"],
        changed=taken["changed"],
    )


async def _judged(
    database: Database, brand: str, rows: Sequence[Row], zone: ZoneInfo, order: Order | None
) -> tuple[list[PlannedInput], list[BadPlan]]:
    good: list[PlannedInput] = []
    bad: list[BadPlan] = []
    seen: set[str] = set()
    for row in rows:
        if row.broken is not None:
            bad.append(BadPlan(line=row.line, column=None, why=row.broken))
            continue
        try:
            new = PlannedInput.model_validate(_fields(row, zone, order))
            if new.id is not None and new.id in seen:
                raise invalid("id", "a row above has the same id")
            await calendar.checked(database, brand, new)
        except ValidationError as error:
            first = error.errors()[0]
            why = said(first)
            bad.append(BadPlan(line=row.line, column=str(first["loc"][0]), why=why))
        except ProblemError as error:
            bad.append(BadPlan(line=row.line, column=error.errors[0].field, why=error.errors[0].why))
        else:
            good.append(new)
            seen.add(new.id or "")
            seen.discard("")
    return good, bad


def _fields(row: Row, zone: ZoneInfo, order: Order | None) -> dict[str, Any]:
    fields: dict[str, Any] = {name: unguarded(cell) for name, cell in row.cells.items()}
    for name in fields:
        if name != "text":
            fields[name] = fields[name].strip()
    fields = {name: value for name, value in fields.items() if value}
    if "media" in fields:
        fields["media"] = fields["media"].split()
    if "planned_at" not in fields:
        raise invalid("planned_at", times.NO_TIME)
    try:
        fields["planned_at"] = times.read(fields["planned_at"], zone, order)
    except ValueError as error:
        raise invalid("planned_at", str(error)) from None
    return fields


def _times(typed: Sequence[str], zone: ZoneInfo, order: Order | None) -> list[TimesRead]:
    found: dict[str, TimesRead] = {}
    for each in typed:
        name = times.shape_of(each)
        if name is None:
            continue
        if name in found:
            found[name].rows += 1
            continue
        try:
            read_as = times.read(each, zone, order).astimezone(zone)
        except ValueError:
            read_as = None
        found[name] = TimesRead(written=each.strip(), read_as=read_as, rows=1)
    return list(found.values())


async def _take(
    database: Database, brand: str, new: PlannedInput, now: datetime
) -> Literal["added", "changed", "same"]:
    """Stores a row, and says what it was."""
    found = None
    if new.id is not None:
        found = await Calendar(database, Tenants.one(brand)).find(f"{brand}/{new.id}")
    if new.id is None or found is None:
        await calendar.add(database, brand, new, now)
        return "added"
    before = calendar.shown(found)
    terms = PlannedTerms.model_validate(new.model_dump(exclude={"id"}) | _kept(new, before))
    after = await calendar.change(database, brand, new.id, terms, now)
    return "same" if after == before else "changed"


def _kept(new: PlannedInput, before: Planned) -> dict[str, str]:
    """The texts that stay as they are stored: a file has them as they were exported."""
    pairs = {name: (getattr(before, name), getattr(new, name)) for name in ("text", "owner", "post")}
    return {name: old for name, (old, now) in pairs.items() if old and now and _exported(old) == _exported(now)}


def _exported(text: str) -> str:
    return written(text).strip()
