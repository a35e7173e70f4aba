#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A mount that is a service ends: the engines of its guests go into a scope of their own. The control
groups and the bus are real, systemd is fake-systemd.c."""

import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto  # noqa: E402

INVOCATION = "0123456789abcdef0123456789abcdef"
SCOPE = f"uefivarsfs-engines-{INVOCATION[:12]}.scope"
# What waits for the move sleeps for so long, and nothing else does.
LOOK = "tv_nsec=2000000}"
BUS = """<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow eavesdrop="false"/><allow own="*"/>
<allow user="*"/></policy></busconfig>"""


def unified():
    for place in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if os.path.exists(f"{place}/cgroup.subtree_control"):
            return pathlib.Path(place)
    uvmount.skip("no unified control groups")


class Leave(unittest.TestCase):
    def setUp(self):
        uvmount.need_mount()
        uvmount.need("busctl", "dbus-daemon", "strace")
        if os.geteuid() != 0:
            uvmount.skip("needs root")
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        for name in ("a", "b"):
            (self.source / f"{name}.json").write_text(uvmount.store_text())
        self.service, self.scope = self.new_group("service"), self.new_group("scope")
        self.address = f"unix:path={self.scratch.path / 'bus'}"
        self.start_bus()

    def new_group(self, name):
        group = unified() / f"uefivars-{os.getpid()}-{name}"
        try:
            group.mkdir()
        except OSError as error:
            uvmount.skip(f"no control group: {error}")
        self.addCleanup(self.remove_group, group)
        return group

    def remove_group(self, group):
        self.kill(group)
        group.rmdir()

    def kill(self, group):
        (group / "cgroup.kill").write_text("1")
        uvmount.wait_until(lambda: not self.members(group), "nothing is in the group")

    @staticmethod
    def members(group):
        return [int(line) for line in (group / "cgroup.procs").read_text().split()]

    def start(self, *command, said):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": self.address})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.assertIn(said, process.stdout.readline())
        return process

    def start_bus(self):
        configuration = self.scratch.path / "bus.conf"
        configuration.write_text(BUS.format(self.scratch.path / "bus"))
        self.start("dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address",
                   said="unix:")

    def mount(self, main="$$", unset=":"):
        """As a service: in its control group, with what systemd tells its main process."""
        into = (f"echo $$ >{self.service}/cgroup.procs; export DBUS_SYSTEM_BUS_ADDRESS={self.address} "
                f"SYSTEMD_EXEC_PID={main} INVOCATION_ID={INVOCATION}; {unset}; exec \"$@\"")
        self.calls = self.scratch.path / "calls"
        return self.scratch.mount(self.source, wrapper=[
            "strace", "-D", "-o", str(self.calls), "-e", "trace=/nanosleep", "sh", "-c", into, "sh"])

    def end(self, *answers, guests=("a",), **kwargs):
        """What systemd was asked for, and the engines."""
        manager = self.start(os.environ["UV_FAKE_SYSTEMD"], str(self.scope), *answers, said="ready")
        mount = self.mount(**kwargs)
        connected = [uvproto.Guest(mount.socket(name)).hello() for name in guests]
        engines = [mount.engine_pid(name) for name in guests]
        self.assertEqual(mount.stop(), 0)
        manager.kill()
        asked = [line.split() for line in manager.stdout.read().splitlines()]
        for guest in connected:
            with guest:
                self.assertEqual(guest.set("After", uvproto.TEST, data=b"1"), uvproto.SUCCESS)
        return asked, engines

    def waited(self):
        return LOOK in self.calls.read_text()

    def check_asked(self, asked, engines):
        self.assertEqual(asked[0][:2], [SCOPE, "fail"])
        self.assertLessEqual(set(engines), {int(word) for word in asked[0][2:]})

    def test_moved(self):
        asked, engines = self.end("moves", guests=("a", "b"))
        self.check_asked(asked, engines)
        self.assertEqual(len(asked), 1)
        self.assertEqual(self.members(self.service), [])
        self.assertLessEqual(set(engines), set(self.members(self.scope)))

    def test_moved_later(self):
        asked, engines = self.end("later")
        self.check_asked(asked, engines)
        self.assertTrue(self.waited())
        uvmount.wait_until(lambda: self.members(self.service) == [], "they are moved")

    def test_answered_and_not_moved(self):
        asked, engines = self.end("never")
        self.assertEqual(len(asked), 1)
        self.assertTrue(self.waited())
        self.assertLessEqual(set(engines), set(self.members(self.service)))

    def test_refused(self):
        """Nothing is waited for where nothing will be moved."""
        asked, engines = self.end("refuses")
        self.check_asked(asked, engines)
        self.assertEqual(len(asked), 3)
        self.assertFalse(self.waited())
        self.assertLessEqual(set(engines), set(self.members(self.service)))

    def test_refused_once(self):
        """As of a process that ended just then."""
        asked, engines = self.end("refuses", "moves")
        self.assertEqual(len(asked), 2)
        self.assertLessEqual(set(engines), set(self.members(self.scope)))

    def test_no_guest(self):
        self.assertEqual(self.end("moves", guests=())[0], [])
        self.assertFalse(self.waited())

    def test_not_the_main_process(self):
        for other in ({"main": "1"}, {"main": ""}, {"unset": "unset INVOCATION_ID"}):
            with self.subTest(other=other):
                asked, engines = self.end("moves", **other)
                self.assertEqual(asked, [])
                self.assertLessEqual(set(engines), set(self.members(self.service)))
                self.kill(self.service)


if __name__ == "__main__":
    unittest.main()
