"""Every field of a setting has its option, with the same default, and none is made up."""

from __future__ import annotations

import dataclasses
import inspect

from ravine.cli.setting_options import setting
from ravine.cli.sharing_options import sharing
from ravine.training import Setting
from ravine.training.shared import Sharing

ELSEWHERE = {"batch_size", "seed"}  # options of every command


def test_the_options_are_the_fields_of_a_setting() -> None:
    fields = {f.name: f.default for f in dataclasses.fields(Setting) if f.name not in ELSEWHERE}
    options = {name: p.default for name, p in inspect.signature(setting).parameters.items()}
    assert options == fields
    assert setting() == fields


def test_the_options_of_a_shared_training_are_its_fields() -> None:
    fields = {f.name: f.default for f in dataclasses.fields(Sharing)}
    options = {name: p.default for name, p in inspect.signature(sharing).parameters.items()}
    assert options == fields
    assert sharing() == fields
