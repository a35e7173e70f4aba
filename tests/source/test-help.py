#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What --help lists and what the manual page lists is the same, with the same words for values."""

import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402

# Explained on the page without being an item of its list, or GLib's own.
ELSEWHERE = {"help", "version"}


def help_of(program):
    return subprocess.run([program, "--help"], check=True, stdout=subprocess.PIPE, text=True).stdout


def section(page, head):
    text = (uvmount.TOP / "man" / page).read_text()
    return text[text.index(f".Sh {head}"):].split("\n.Sh ")[0]


def plain(words):
    """mdoc's words without its macros."""
    return re.sub(r"\s*\b(Ns|Ar|Cm|Op|Li|Fl)\b\s*", "", words.replace("\\", ""))


def values(text):
    """The alternatives of a value, or its kind: strict|edk2 is what counts, DIR:DIR is DIR."""
    return frozenset(re.split(r"[|:]", text.replace(" ", ""))) if text else frozenset()


def daemon():
    shown = {name: values(value) for name, value in
             re.findall(r"^  (?:-\w, )?--([\w-]+)(?:=(\S+))?", help_of(uvmount.UEFIVARSD), re.M)}
    listed = {}
    for line in re.findall(r"^\.It Fl Fl (.*)$", section("uefivarsd.8", "OPTIONS"), re.M):
        for part in line.split(" , "):
            name, *value = re.split(r" Ns = Ns | (?=Ar )", part.removeprefix("Fl Fl "))
            listed[name.strip()] = values(plain(value[0])) if value else frozenset()
    return shown, listed


def front():
    shown = {name: values(value) for name, value in
             re.findall(r"^    ([a-z][a-z-]*)(?:=(\S+))?  ", help_of(uvmount.UEFIVARSFS), re.M)}
    listed = {}
    for line in re.findall(r"^\.It Fl o Cm (.*=.*)$", section("uefivarsfs.8", "OPTIONS"), re.M):
        for part in line.split(" , "):
            name, _, value = part.partition(" Ns = Ns ")
            listed[name.removeprefix("Cm ").strip()] = values(plain(value))
    for line in re.findall(r"^\.It Fl o Cm ([a-z-]+)$", section("uefivarsfs.8", "OPTIONS"), re.M):
        listed[line] = frozenset()
    return shown, listed


def differences(name, shown, listed):
    shown = {key: value for key, value in shown.items() if key not in ELSEWHERE}
    listed = {key: value for key, value in listed.items() if key not in ELSEWHERE}
    for key in sorted(shown.keys() | listed.keys()):
        if key not in listed:
            yield f"{name}: {key} is in --help, not on the page"
        elif key not in shown:
            yield f"{name}: {key} is on the page, not in --help"
        # Words in capitals stand for something, and the two may call it differently.
        elif {v for v in shown[key] if v.islower()} != {v for v in listed[key] if v.islower()}:
            yield f"{name}: {key} is {set(shown[key])} in --help, {set(listed[key])} on the page"
    if len(shown) < 5:
        yield f"{name}: only {len(shown)} options found in --help"


def main():
    uvmount.need(uvmount.UEFIVARSFS, uvmount.UEFIVARSD)
    wrong = [*differences("uefivarsd", *daemon()), *differences("uefivarsfs", *front())]
    for line in wrong:
        print(line)
    sys.exit(1 if wrong else 0)


main()
