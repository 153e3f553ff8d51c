"""A page as a reader meets it in headless Chromium, with all that it complains of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the PATH; CI installs it")


class Visit:
    """One page opened. Complaints: what it wrote to the console, asked, failed at, or fetched from beyond `home`."""

    def __init__(self, browser: Browser, path: Path, theme: str, width: int, *, home: str) -> None:
        self.complaints: list[str] = []
        self.home = home
        self.page: Page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=theme)
        self.page.on("console", lambda said: self.complain("console", said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.complain("error", str(error)))
        self.page.on("dialog", self.refuse)
        self.page.on("request", lambda asked: self.fetched(asked.url))
        self.page.goto(path.as_uri())

    def complain(self, kind: str, text: str) -> None:
        self.complaints.append(f"{kind}: {text}")

    def refuse(self, dialog) -> None:
        self.complain("dialog", dialog.message)
        dialog.dismiss()

    def fetched(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.complain("request", url)

    def scrolls_sideways(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
