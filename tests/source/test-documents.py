#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the command lines of README.md and uefivarsfs(8), as they stand there, in a mount namespace that
has the stores and folders of their examples. Needs root."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvhosts  # noqa: E402
import uvmount  # noqa: E402
from uvskip import skip  # noqa: E402

OVMF = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
# Run as they stand, but not here: they install, fetch, need what is not there, or run for long.
ELSEWHERE = re.compile(r"meson |ninja |examples/quickstart|tests/run|xargs -d .* qemu-system|unshare -m|"
                       r"roll-out|prometheus|undo|tail -f|/trace\b")
# What the text around them says.
FAILS = re.compile(r"vars/PK-")

PREPARE = """
set -eu
{others}
mount -t tmpfs tmpfs /srv
mount -t tmpfs tmpfs /mnt
mount -t tmpfs tmpfs /sys/firmware
mount -t tmpfs tmpfs /var/lib
mkdir -p /srv/guests /srv/uefi /srv/home /var/lib/uefivars /sys/firmware/efi/efivars
virt-fw-vars -i {ovmf} --output-json /srv/guests/demo_VARS.json >/dev/null 2>&1
python3 - /srv/guests/demo_VARS.json <<'END'
import json, sys
store = json.load(open(sys.argv[1]))
names = {{v["name"] for v in store["variables"]}}
# Of an image that has keys alone.
made = {{"guid": "8be4df61-93ca-11d2-aa0d-00e098032b8c", "attr": 7,
         "data": "010000001800" + "One\\0".encode("utf-16-le").hex() +
                 "04041400" + "\\\\1.efi\\0\\0".encode("utf-16-le").hex() + "7fff0400"}}
entry = next((v for v in store["variables"] if v["name"] == "Boot0001"), made)
store["variables"] += [dict(entry, name=n) for n in ("Boot0000", "Boot0001", "Boot0002") if n not in names]
json.dump(store, open(sys.argv[1], "w"))
END
cp {ovmf} /srv/guests/web_VARS.fd
cp /srv/guests/demo_VARS.json /var/lib/uefivars/web1.json
PATH={bins}:$PATH
cd /srv/home
exec 2>&1
"""


def readme():
    """The tour's commands; each is at a prompt."""
    text = (uvmount.TOP / "README.md").read_text()
    return [line[6:] for line in text.splitlines() if line.startswith("    # ")]


def page():
    text = (uvmount.TOP / "man" / "uefivarsfs.8").read_text()
    examples = text[text.index(".Sh EXAMPLES"):text.index(".Sh FILES")]
    lines = [line[2:] for line in examples.splitlines() if line.startswith("# ")]
    lines += [line[4:] for line in examples.splitlines() if line.startswith(".Ic ")]
    return lines


def script(commands):
    """Each command with its number before it, and its exit status after it."""
    bins = f"{uvmount.UEFIVARSFS.parent}:{uvmount.UEFIVARSD.parent}"
    parts = [PREPARE.format(ovmf=OVMF, bins=bins, others=uvhosts.NO_OTHERS_MOUNTS), "set +e"]
    for number, command in enumerate(commands):
        parts += [f"echo '@{number}'", command, f"echo \"@{number} $?\""]
    return "\n".join(parts + ["cd /", "umount /sys/firmware/efi/efivars /srv/uefi /mnt 2>/dev/null",
                              "echo \"@namespace $(readlink /proc/self/ns/mnt)\""])


def is_left(namespace):
    """A process is in that mount namespace still."""
    for link in pathlib.Path("/proc").glob("[0-9]*/ns/mnt"):
        with contextlib.suppress(OSError):
            if os.readlink(link) == namespace:
                return True
    return False


def run(title, commands):
    wanted = [command for command in commands if not ELSEWHERE.search(command)]
    done = subprocess.run(["unshare", "-m", "bash", "-c", script(wanted)], stdout=subprocess.PIPE,
                          text=True, errors="replace", timeout=120, check=True)
    wrong = 0
    for number, command in enumerate(wanted):
        found = re.search(rf"^@{number}\n(.*?)^@{number} (\d+)$", done.stdout, re.M | re.S)
        failed = not found or (found[2] != "0") != bool(FAILS.search(command))
        if failed:
            print(f"{title}: {command}\n  {found[0] if found else done.stdout}")
        wrong += failed
    namespace = re.search(r"^@namespace (.*)$", done.stdout, re.M)[1]
    uvmount.wait_until(lambda: not is_left(namespace), f"{title}: what was mounted has ended")
    print(f"{title}: {len(wanted)} of {len(commands)} commands were run, {wrong} went wrong")
    return wrong or len(wanted) < 4


def main():
    uvmount.need_mount()
    uvmount.need("unshare", "virt-fw-vars", "efibootmgr", "rsync")
    if not pathlib.Path(OVMF).exists():
        skip(f"no {OVMF}")
    if subprocess.run(["unshare", "-m", "true"], check=False).returncode != 0:
        skip("no mount namespaces here")
    wrong = [run("README.md", readme()), run("uefivarsfs(8)", page())]
    sys.exit(1 if any(wrong) else 0)


main()
