"""Files as the programs of this world write them; each has the habits of one of them."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest

from services.api.policies.holidays.service import Skipped, holidays

FILES = Path(__file__).parent / "holiday_files"
BERLIN = ZoneInfo("Europe/Berlin")


class Expected(NamedTuple):
    days: Mapping[str, str]
    skipped: tuple[Skipped, ...] = ()


TIMED, CANCELLED = "has a time of day", "is cancelled"
EXPECTED = {
    # Midnight to midnight in a zone with a Windows name; exceptions and the end of a rule as times.
    "outlook.ics": Expected(
        {"2026-05-01": "Tag der Arbeit", "2026-12-25": "Weihnachten", "2026-12-26": "Weihnachten"},
        (Skipped("Jour fixe", TIMED), Skipped("Abgesagt: Betriebsausflug", CANCELLED)),
    ),
    # Folded after 75 bytes, in the midst of a letter.
    "google.ics": Expected(
        {
            "2026-08-15": "Mariä Himmelfahrt in Bayern, gesetzlicher Feiertag nur in Gemeinden mit überwiegend "
            "katholischer Bevölkerung 🎉",
            "2026-10-03": "Tag der Deutschen Einheit",
        }
    ),
    # A length in hours, and exceptions and additions as times of an event that has dates.
    "apple.ics": Expected(
        {
            "2026-04-27": "Koningsdag",
            **dict.fromkeys(["2026-12-28", "2026-12-29", "2026-12-30"], "Bedrijf gesloten"),
            **dict.fromkeys(["2027-01-04", "2027-01-05", "2027-01-06"], "Bedrijf gesloten"),
            **dict.fromkeys(["2027-02-01", "2027-02-02", "2027-02-03"], "Bedrijf gesloten"),
        },
        (Skipped("Borrel", TIMED),),
    ),
    # vCalendar 1.0: quoted-printable, its own rules, midnight to a minute before midnight.
    "vcalendar.vcs": Expected(
        {
            "2026-05-01": "Öffnung fällt aus",
            "2026-10-03": "Betriebsausflug nach München; alle gehen mit",
            "2026-11-02": "Inventur",
            "2027-03-01": "Inventur",
            "2027-05-01": "Öffnung fällt aus",
            "2027-10-03": "Betriebsausflug nach München; alle gehen mit",
        },
        (Skipped("Feier", TIMED),),
    ),
    # Neither VERSION nor PRODID, line feeds only, and the encoding of the machine.
    "windows-1252.ics": Expected({"2026-08-15": "„Mariä“ – Fête de l’Assomption"}),
    "bare-cr.ics": Expected({"2026-06-06": "Sveriges nationaldag på svenska"}),
    "utf-16.ics": Expected({"2026-02-11": "建国記念の日"}),
    # All day, in UTC; and zones that nobody knows.
    "exchange-utc.ics": Expected(
        {"2026-06-17": "Founders' day", "2026-06-18": "Founders' day", "2026-08-01": "In no known zone"},
        (Skipped("Maintenance at night", TIMED), Skipped("Timed in no known zone", TIMED)),
    ),
    "cancelled-invitation.ics": Expected({}, (Skipped("Away day", CANCELLED),)),
}


def test_every_file_has_what_is_expected_of_it() -> None:
    assert {path.name for path in FILES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_files_of_real_programs_are_read(name: str) -> None:
    found = holidays((FILES / name).read_bytes(), date(2026, 1, 1), date(2027, 12, 31), zone=BERLIN)
    assert {day: each.name for day, each in found.days.items()} == EXPECTED[name].days
    assert found.skipped == list(EXPECTED[name].skipped)


def test_a_file_may_be_folded_anywhere() -> None:
    text = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260815\r\nSUMMARY:Mariä 🎉 Tag\r\nEND:VEVENT\r\n"
    whole = f"{text}END:VCALENDAR\r\n".encode()
    for place in range(1, len(whole) - 2):
        # A fold after a line break would make an empty line go on.
        if whole[place - 1 : place] not in (b"\r", b"\n") and whole[place : place + 1] not in (b"\r", b"\n"):
            folded = whole[:place] + b"\r\n " + whole[place:]
            found = holidays(folded, date(2026, 1, 1), date(2026, 12, 31))
            assert {day: each.name for day, each in found.days.items()} == {"2026-08-15": "Mariä 🎉 Tag"}, place
