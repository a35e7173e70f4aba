# SPDX-License-Identifier: GPL-2.0-or-later
"""How a row is written. A row is one rule; its name is the rule's number in the list of rules (the
second and later bullets of a section count on). Most are one write that is tried through every door
it applies to, each time on a fresh store; the others are a function of the world."""

import dataclasses
from typing import Callable, Optional

from uvproto import SUCCESS

ROWS = []


@dataclasses.dataclass
class Row:
    rule: str
    text: str
    doors: str = "gh"  # guest, host
    store: str = "empty"
    arguments: tuple = ()
    before: Optional[Callable] = None  # (world), by the guest
    write: Optional[tuple] = None  # (name, GUID, attributes, data)
    expect: int = SUCCESS
    errno: Optional[int] = None  # what the host gets where that is not the status's
    after: Optional[Callable] = None  # (world): what must be so
    call: Optional[Callable] = None  # (world): in the place of a write

    def __str__(self):
        return f"{self.rule} {self.text}"


def write(rule, text, name, guid, attributes, data, expect=SUCCESS, **more):
    ROWS.append(Row(rule, text, write=(name, guid, attributes, data), expect=expect, **more))


def call(rule, text, **more):
    """Decorates a function of the world (guest door unless told)."""
    def decorate(function):
        ROWS.append(Row(rule, text, call=function, **{"doors": "g", **more}))
        return function
    return decorate
