"""The address of a database as SQLAlchemy writes it, and as it may be shown: a password is never written down.

postgresql+psycopg://USER:PASSWORD@HOST:PORT/DATABASE
"""

from __future__ import annotations

import re

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ravine.errors import SettingError

__all__ = ["kept", "parsed", "without_password"]

PACKAGES = {"psycopg": "'ravine[postgres]'", "psycopg2": "psycopg2-binary", "mysqldb": "mysqlclient"}
"""What pip calls a driver, where it has another name than the driver."""

WRITE = "write postgresql+psycopg://USER@HOST/DATABASE"


def without_password(text: str) -> str:
    """The text, a command say, with the passwords taken out of the addresses in it.

    >>> without_password("ravine search --storage postgresql+psycopg://ann:se@cret@db/lab --seed 1")
    'ravine search --storage postgresql+psycopg://ann@db/lab --seed 1'
    >>> without_password("postgresql://db/lab?user=ann&password=secret&connect_timeout=3")
    'postgresql://db/lab?user=ann&connect_timeout=3'
    """
    text = re.sub(r"(://[^:/@\s]*):\S*@", r"\1@", text)
    text = re.sub(r"(?<=[?&])(?:ssl)?password=[^&\s'\"]*&?", "", text)
    return re.sub(r"[?&](?=[\s'\"]|$)", "", text) if "://" in text else text


def parsed(address: str) -> URL:
    """Raises SettingError for what is no address, for an unknown kind of database, and for one whose driver is not installed."""
    shown = f"--storage {without_password(address)!r}"
    try:
        url = make_url(address)
        dialect = url.get_dialect()
    except NoSuchModuleError:
        kind = address.partition(":")[0]
        raise SettingError(f"{shown}: SQLAlchemy knows no database or driver {kind!r}; {WRITE}.") from None
    except (ArgumentError, ValueError):
        raise SettingError(f"{shown} is no address of a database; {WRITE}.") from None
    if "@" in (url.host or ""):
        raise SettingError(
            f"{shown} had an @ in its user or password: write %40 for it, or put the password into PGPASSWORD."
        )
    if not url.database:
        raise SettingError(f"{shown} names no database; {WRITE}.")
    try:
        dialect.import_dbapi()
    except ImportError:
        need = PACKAGES.get(dialect.driver, dialect.driver)
        raise SettingError(f"{shown} needs {dialect.driver}, which is not installed: pip install {need}.") from None
    return url


def kept(address: str) -> str:
    """The address as a run folder keeps it for `ravine resume`: without its password.

    >>> kept("postgresql+psycopg://ann:secret@db/lab?connect_timeout=3")
    'postgresql+psycopg://ann@db/lab?connect_timeout=3'
    """
    url = make_url(address)
    secret = [name for name in url.query if "password" in name]
    return url._replace(password=None).difference_update_query(secret).render_as_string(hide_password=False)
