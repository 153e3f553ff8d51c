"""What the page puts inside its script elements."""

from __future__ import annotations

import json

import pytest

from ravine.reports.page import in_script, plain, policy

from .folders import HOSTILE


@pytest.mark.parametrize("text", HOSTILE)
def test_json_keeps_its_value_and_holds_nothing_that_html_reads(text):
    written = in_script(json.dumps({text: text}))
    assert json.loads(written) == {text: text}
    assert not set(written) & set("<>&")


def test_a_script_is_hashed_as_the_browser_sees_it():
    assert policy([plain("let a;\r\nlet b;")]) == policy(["let a;\nlet b;"])


def test_a_script_of_ours_that_would_end_early_is_our_mistake():
    with pytest.raises(AssertionError):
        plain("let a = '</SCRIPT>'")
