"""Mail addresses: checked when they are saved, converted to ASCII when they are used."""

import re

import idna

from rapport.kit.text import plain

LONGEST = 254
LONGEST_LOCAL = 64
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


class MailAddressError(ValueError):
    """An address that mail cannot reach. The text says why, without repeating the address."""


def in_ascii(address: str) -> str:
    """The address as mail servers accept it, with its domain in ASCII. Raises MailAddressError.

    Local parts have to be ASCII: most mail servers do not take others (RFC 6531), and whether ours does is known only
    when it is too late to tell whoever saved the address. Quoted local parts and numeric hosts are refused.
    """
    if plain(address) != address:
        raise MailAddressError("there is a character in it that cannot be seen")
    local, at, domain = address.rpartition("@")
    if not at or not local or not domain:
        raise MailAddressError("a mail address is written like name@example.com")
    if not local.isascii():
        raise MailAddressError("only letters without accents work before the @; many mail servers refuse others")
    if len(local) > LONGEST_LOCAL:
        raise MailAddressError(f"at most {LONGEST_LOCAL} characters can stand before the @")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise MailAddressError("before the @, a dot cannot come first, last, or twice in a row")
    if not _LOCAL.fullmatch(local):
        raise MailAddressError("before the @ there is a character that mail addresses cannot have")
    found = f"{local}@{_host(domain)}"
    if len(found) > LONGEST:
        raise MailAddressError(f"a mail address has at most {LONGEST} characters")
    return found


def _host(domain: str) -> str:
    try:
        host = idna.encode(domain, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        raise MailAddressError("what follows the @ is not a domain name") from None
    if host.endswith(".") or host.rpartition(".")[2].isdigit():
        raise MailAddressError("what follows the @ is not a domain name")
    return host
