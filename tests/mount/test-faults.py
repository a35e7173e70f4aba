#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount's life, in which one system call of its monitor or its front after the other fails: it tells why
it does not mount, or serves, keeps what it has taken, keeps no user waiting and leaves no mount behind."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvfail  # noqa: E402
import uvmount  # noqa: E402
import uvproto  # noqa: E402

uvmount.need_mount()
uvfail.need()
# Of one call, the first so many times that it is made.
MOST = 1000 if os.environ.get("UV_LONG") == "1" else 12
SECONDS = 20

# What users do, a line each: what is taken is told.
SCRIPT = r"""
cd "$1"/guests && mkdir new
ls -l . g g/vars >/dev/null
cat g/status.json g/vars/Old-* >/dev/null
printf '\007\0\0\0new' >g/vars/New-TEST && echo kept New
rm g/vars/Gone-TEST && echo kept Gone
cat g/boot/* g/changes >/dev/null
printf '{"size": 262144}' >g/config.json && echo kept config
cp g/store.json /dev/null
mv new other && rmdir other
true
""".replace("TEST", uvproto.TEST)


class Faults(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="uvfaults-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(subprocess.run, ["rm", "-rf", "--one-file-system", self.folder], check=False)

    def start(self, fault, folder):
        source, place = folder / "src", folder / "mnt"
        source.mkdir()
        place.mkdir()
        (source / "g.json").write_text(uvmount.store_text(
            uvmount.variable("Old", b"old"), uvmount.variable("Gone", b"gone")))
        with open(folder / "log", "wb") as log:
            return subprocess.Popen(
                fault.wrapper() + [str(uvmount.UEFIVARSFS), str(source), str(place), "-f", "-o",
                                   f"sockdir={folder / 'sock'},idle=1"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=uvengine.environment())

    def end(self, program, place, fault):
        if program.poll() is None:
            subprocess.run(["umount", place], check=False, stderr=subprocess.DEVNULL)
        try:
            return program.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            self.fail(f"{fault}: it does not end")
        finally:
            program.kill()
            program.wait()
            subprocess.run(["umount", "-l", place], check=False, stderr=subprocess.DEVNULL)

    def check_kept(self, folder, said, fault):
        """The engine has made its store complete when its mount is gone."""
        variables = {v["name"]: bytes.fromhex(v["data"])
                     for v in json.loads((folder / "src/g.json").read_text())["variables"]}
        self.assertEqual(variables["Old"], b"old")
        if "kept New" in said:
            self.assertEqual(variables.get("New"), b"new", fault)
        if "kept Gone" in said:
            self.assertNotIn("Gone", variables, fault)

    def one(self, fault):
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        folder.chmod(0o755)
        place, said = folder / "mnt", ""
        program = self.start(fault, folder)
        try:
            uvmount.wait_until(lambda: program.poll() is not None or os.path.ismount(place), "a mount or an end",
                               SECONDS)
            if program.poll() is None:
                done = subprocess.run(["timeout", "-k", "1", str(SECONDS), "sh", "-c", SCRIPT, "sh", place],
                                      check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
                said = done.stdout
                self.assertNotIn(done.returncode, (124, 137), f"{fault}: a user waits for ever")
        finally:
            code = self.end(program, place, fault)
        log = (folder / "log").read_text()
        self.assertIn(code, (0, 1), f"{fault}: {log}")
        self.assertFalse(os.path.ismount(place), fault)
        if code == 1 and not said:
            self.assertRegex(log, re.compile("^uefivarsfs: ", re.M), fault)
        self.check_kept(folder, said, fault)
        if not fault.was_reached():
            self.assertEqual(said.split("\n"), ["kept New", "kept Gone", "kept config", ""], log)

    def test_each(self):
        counts = {}
        for call, error in uvfail.CALLS:
            for fault in uvfail.faults(self.folder, call, error, MOST):
                with self.subTest(fault=str(fault)):
                    self.one(fault)
                    counts[call] = counts.get(call, 0) + fault.was_reached()
        print(counts)
        self.assertGreater(sum(counts.values()), 100)


if __name__ == "__main__":
    unittest.main()
