#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A whole guest comes back from a backup by rsync, cp and tar, whatever happened meanwhile: its
variables, its configuration, and the kind of its store. 10 random histories a tool and kind; with
UV_LONG=1 as many as make 200 together."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable  # noqa: E402

GUID = uvproto.TEST
OVMF = "/usr/share/OVMF/OVMF_VARS_4M.fd"
KEYS = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"
HISTORIES = 200 if os.environ.get("UV_LONG") else 12
TOOLS = ("rsync", "cp", "tar")
KINDS = ("json", "flash")


def run(*command):
    """Quiet, and with exit status 0."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                            timeout=30)
    if result.returncode or result.stdout or result.stderr:
        raise AssertionError(f"{command}: {result.returncode}: {result.stdout}{result.stderr}")


def copy(tool, source, target):
    """The folder `source` becomes, or goes into, `target`."""
    if tool == "rsync":
        run("rsync", "-a", f"{source}/", f"{target}/")
    elif tool == "cp":
        if os.path.exists(target):
            names = ("config.json", "store.img", "store.json", "vars")
            run("cp", "-a", *(source / name for name in names if (source / name).exists()), target)
        else:
            run("cp", "-a", source, target)
    else:
        archive = f"/tmp/{os.getpid()}.tar"
        run("tar", "-cf", archive, "-C", source.parent, source.name)
        overwrite = ["--overwrite"] if os.path.exists(target) else []
        run("tar", *overwrite, "-xf", archive, "-C", target.parent,
            f"--transform=s,^{source.name},{target.name},")
        os.unlink(archive)


def content(folder):
    """Name, content and time of each variable."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns)
            for path in (folder / "vars").iterdir()}


class RestoreTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.backup = self.scratch.path / "backup"
        self.source.mkdir()
        self.backup.mkdir()
        self.mount = self.scratch.mount(self.source)

    def make(self, guest, kind, *variables):
        folder = self.source / guest
        folder.mkdir()
        if kind == "json":
            (folder / "vars.json").write_text(uvmount.store_text(*variables))
        else:
            shutil.copy(KEYS if kind == "keys" else OVMF, folder / "vars.fd")
        (folder / "config.json").write_text('{"size": 131072}' if kind == "json" else "")
        uvmount.wait_until(self.mount.guest(guest).exists, f"{guest} shows")

    def change(self, guest, rng, count):
        for _ in range(count):
            name = f"V{rng.randrange(12)}"
            path = self.mount.vars(guest) / f"{name}-{GUID}"
            if rng.random() < 0.3 and path.exists():
                path.unlink()
            else:
                self.mount.write(guest, name, rng.randbytes(rng.choice((1, 30, 400, 12000))))

    def kind(self, guest):
        return sorted(p.name for p in (self.source / guest).iterdir() if p.name.startswith("vars."))

    def config(self, guest):
        return json.loads((self.mount.guest(guest) / "config.json").read_text() or "{}")

    def check(self, guest, expected, kind):
        self.assertEqual({n: c for n, (c, _) in content(self.mount.guest(guest)).items()},
                         {n: c for n, (c, _) in expected.items()})
        self.assertEqual(self.kind(guest), ["vars.json" if kind == "json" else "vars.fd"])

    def need(self, tool, kind):
        uvmount.need(tool)
        if kind == "flash" and not os.path.exists(OVMF):
            self.skipTest("no OVMF image")

    def history(self, tool, kind, seed):
        rng = random.Random(seed)
        old, new, copied = f"g{seed}", f"new{seed}", f"copy{seed}"
        backup = self.backup / old
        self.make(old, rng.choice(("flash", "keys")) if kind == "flash" else kind)
        self.change(old, rng, rng.randrange(1, 8))
        expected = content(self.mount.guest(old))
        copy(tool, self.mount.guest(old), backup)
        self.change(old, rng, rng.randrange(0, 8))
        for path in self.mount.vars(old).glob(f"*-{GUID}"):
            os.utime(path, ns=(0, path.stat().st_mtime_ns - rng.randrange(3600 * 10 ** 9)))
        copy(tool, backup, self.mount.guest(new))
        self.check(new, expected, kind)
        self.assertEqual(self.config(new), self.config(old))
        before = content(self.mount.guest(old))
        copy(tool, self.mount.guest(old), self.mount.guest(copied))
        self.check(copied, before, kind)
        copy(tool, backup, self.mount.guest(old))
        after = {n: c for n, c in content(self.mount.guest(old)).items() if n in expected}
        self.assertEqual({n: c for n, (c, _) in after.items()},
                         {n: c for n, (c, _) in expected.items()})

    def test_histories(self):
        for number in range(HISTORIES):
            tool, kind = TOOLS[number % 3], KINDS[number // 3 % 2]
            self.need(tool, kind)
            with self.subTest(tool=tool, kind=kind, seed=number):
                self.history(tool, kind, number)


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("rsync")
    unittest.main(verbosity=1)
