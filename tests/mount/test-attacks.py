#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who may write into a guest's folder, or connect to its socket, against everybody else: attackers
are processes of another user on a mount of root's. UV_LONG=1 runs each race 200 times."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvflash  # noqa: E402
import uvmount  # noqa: E402
import uvpace  # noqa: E402
import uvproto  # noqa: E402
from uvattacker import ATTACKER, attacker  # noqa: E402
from uvmount import variable  # noqa: E402

OTHER = 4243
ROUNDS = 200 if os.environ.get("UV_LONG") else 20
SECRET = b"root's, and nobody else's\n" * 1000
# The slowest that another guest may be served while somebody tries to keep all of it for himself.
PATIENCE_S = 2


def status_field(pid, field):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return line.split()[1:]
    raise KeyError(field)


def quietly(function, *args, **kwargs):
    with contextlib.suppress(OSError):
        return function(*args, **kwargs)
    return None


class Attack(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.secret = self.scratch.path / "secret"
        self.secret.write_bytes(SECRET)
        self.secret.chmod(0o600)
        self.store(self.source / "other.json", OTHER)

    def tearDown(self):
        st = self.secret.stat()
        self.assertEqual((st.st_uid, st.st_gid, st.st_mode & 0o7777), (0, 0, 0o600))
        self.assertEqual(self.secret.read_bytes(), SECRET)

    def store(self, path, uid):
        path.write_text(uvmount.store_text(variable("A", b"a")))
        path.chmod(0o600)
        os.chown(path, uid, uid)
        return path

    def folder(self, name):
        path = self.source / name
        path.mkdir()
        os.chown(path, ATTACKER, ATTACKER)
        return path

    def mount(self, *options):
        return self.scratch.mount(self.source, "idle=1", *options)

    def served(self, mount, what):
        """Somebody else's guest is, and soon."""
        begin = time.monotonic()
        self.assertEqual(mount.read("other", "A")[1], b"a", what)
        mount.write("other", "B", b"b")
        self.assertLess(time.monotonic() - begin, PATIENCE_S * uvpace.factor(), what)

    def no_engine_is_root(self, mount):
        for pid in mount.engines():
            with contextlib.suppress(OSError, KeyError):
                self.assertNotEqual(status_field(pid, "Uid")[0], "0")


class Folder(Attack):
    """What lies in a guest's folder was put there by its owner, whatever it is called."""

    def test_nothing_there_is_roots(self):
        for guest in ("json", "flash"):
            folder = self.folder(guest)
            if guest == "json":
                self.store(folder / "vars.json", ATTACKER)
            else:
                uvflash.small_image(folder / "vars.fd")
                os.chown(folder / "vars.fd", ATTACKER, ATTACKER)
        mount = self.mount()
        for guest in ("json", "flash"):
            (mount.guest(guest) / "store.json").read_bytes()
            (mount.guest(guest) / "config.json").write_text("{}")
            mount.write(guest, "B", b"b")
            (mount.guest(guest) / "store.json").read_bytes()
        mount.stop()
        for guest in ("json", "flash"):
            for path in [self.source / guest, *(self.source / guest).rglob("*")]:
                st = path.lstat()
                self.assertEqual((st.st_uid, st.st_gid), (ATTACKER, ATTACKER), path)

    def test_hint_becomes_a_store(self):
        """What is kept beside the store becomes the store: a flash image has most of it."""
        folder = self.folder("g")
        store = folder / "vars.fd"
        uvflash.small_image(store)
        os.chown(store, ATTACKER, ATTACKER)
        mount = self.mount()
        mount.write("g", "B", b"b")
        (mount.guest("g") / "store.json").read_bytes()
        mount.stop()
        beside = [path for path in folder.glob(".uefivarsfs/*") if path.suffix != ".lock"]
        self.assertIn("vars.fd.meta", [path.name for path in beside])
        aside = folder / "aside"

        def swap():
            """Each is the store for as long as an engine takes to start, and the image again."""
            for path in beside:
                for _ in range(10):
                    quietly(os.rename, store, aside)
                    quietly(os.rename, path, store)
                    time.sleep(0.006)
                    quietly(os.rename, store, path)
                    quietly(os.rename, aside, store)
                    time.sleep(0.006)

        mount.start()
        with attacker(swap):
            for _ in range(10 * ROUNDS):
                quietly(mount.read, "g", "B")
                for pid in mount.engines():
                    self.no_engine_is_root(mount)
                    quietly(os.kill, pid, signal.SIGKILL)
        self.served(mount, "afterwards")

    def test_store_of_root_in_his_folder(self):
        """Somebody's folder with a file of root's in it: no engine is root for it."""
        folder = self.folder("g")
        self.store(folder / "vars.json", 0)
        mount = self.mount()
        with self.assertRaises(OSError):
            mount.write("g", "B", b"b")
        self.no_engine_is_root(mount)
        self.assertTrue(any("belongs to another user" in line or "root's" in line
                            for line in mount.status("g")["warnings"]), mount.status("g"))
        self.served(mount, "the others are")

    def test_fifos(self):
        folder = self.folder("g")
        (folder / "config.json").write_text('{"interface": "uefi", "device": "flash"}')
        os.mkfifo(folder / "vars.fd")
        self.folder("h")
        os.mkfifo(self.source / "h" / "config.json")
        self.store(self.source / "h" / "vars.json", ATTACKER)
        for path in self.source.rglob("*"):
            if path.parent != self.source:
                os.chown(path, ATTACKER, ATTACKER)
        mount = self.mount()
        for guest in ("g", "h"):
            for name in ("firmware", "vars"):
                begin = time.monotonic()
                quietly(os.listdir, mount.guest(guest) / name)
                for file in ("config.json", "status.json", "firmware/why"):
                    quietly((mount.guest(guest) / file).read_bytes)
                self.assertLess(time.monotonic() - begin, PATIENCE_S * uvpace.factor())
                self.served(mount, f"beside {guest}/{name}")

    def test_pin_that_names_others_files(self):
        folder = self.folder("g")
        self.store(folder / "vars.json", ATTACKER)
        fifo = folder / "fifo"
        os.mkfifo(fifo)
        sidecars = folder / ".uefivarsfs"
        sidecars.mkdir()
        mount = self.mount()
        for target in (fifo, self.secret, "/dev/zero"):
            (sidecars / "vars.json.pin").write_text(json.dumps(
                {"mapping": {"device": "flash", "mode": "split",
                             "executable": {"filename": str(target), "format": "raw"},
                             "nvram-template": {"filename": str(target), "format": "raw"}}}))
            for path in [sidecars, *sidecars.iterdir(), fifo]:
                os.chown(path, ATTACKER, ATTACKER)
            begin = time.monotonic()
            quietly(os.listdir, mount.guest("g") / "firmware")
            for file in ("firmware/why", "firmware/qemu.args", "status.json"):
                text = quietly((mount.guest("g") / file).read_text)
                self.assertNotIn(str(len(SECRET)), text or "")
            self.assertLess(time.monotonic() - begin, PATIENCE_S * uvpace.factor())
            self.served(mount, f"beside a pin of {target}")

    def test_renames_without_end(self):
        """By two who do nothing else, faster than events can be taken."""
        folder = self.folder("g")
        self.store(folder / "vars.json", ATTACKER)
        mount = self.mount()

        def rename():
            os.execvp("perl", ["perl", "-e", "while (1) { rename $ARGV[0], $ARGV[1];"
                               "rename $ARGV[1], $ARGV[0] }",
                               folder / "vars.json", folder / "vars.fd"])

        with attacker(rename), attacker(rename):
            for _ in range(ROUNDS):
                self.served(mount, "while somebody renames")
                os.listdir(mount.path / "guests")

    def test_config_that_is_swapped(self):
        """config.json is now a text, now a link to a file of root's."""
        folder = self.folder("g")
        config = folder / "config.json"
        aside = folder / "aside"

        def swap():
            quietly(aside.write_text, "{}")
            quietly(os.rename, aside, config)
            quietly(os.symlink, self.secret, aside)
            quietly(os.rename, aside, config)

        mount = self.mount()
        with attacker(swap):
            for _ in range(ROUNDS):
                text = quietly((mount.guest("g") / "config.json").read_bytes)
                self.assertIn(text, (None, b"", b"{}", b'{"size": 65536}'))
                quietly((mount.guest("g") / "config.json").write_text, '{"size": 65536}')


class Sockets(Attack):
    def test_a_store_that_was_given_away(self):
        path = self.store(self.source / "g.json", ATTACKER)
        mount = self.mount()
        mount.read("g", "A")
        self.assertTrue(uvmount.can_connect(ATTACKER, mount.socket("g")))
        os.chown(path, OTHER, OTHER)
        uvmount.wait_until(lambda: uvmount.can_connect(OTHER, mount.socket("g")), "the new owner may")
        self.assertFalse(uvmount.can_connect(ATTACKER, mount.socket("g")))

    def test_who_waits_there_from_before(self):
        """What the old owner has put into the queue is not served to him as the new owner's."""
        path = self.store(self.source / "g.json", ATTACKER)
        mount = self.mount()
        os.stat(mount.guest("g"))
        uvmount.wait_until(lambda: os.path.exists(mount.socket("g")), "its socket")
        os.kill(mount.process.pid, signal.SIGSTOP)
        waiting = socket.socket(socket.AF_UNIX)
        self.addCleanup(waiting.close)
        waiting.connect(mount.socket("g"))
        os.chown(path, OTHER, OTHER)
        os.kill(mount.process.pid, signal.SIGCONT)
        os.stat(mount.guest("g"))
        uvmount.wait_until(lambda: os.stat(mount.socket("g")).st_uid == OTHER, "the new owner's")
        for pid in mount.engines():
            self.assertEqual(status_field(pid, "Uid")[0], str(OTHER))

    def test_connections_without_end(self):
        """To a guest whose store can't be read."""
        path = self.source / "g.json"
        path.write_text("no store")
        os.chown(path, ATTACKER, ATTACKER)
        mount = self.mount()
        os.stat(mount.guest("g"))
        uvmount.wait_until(lambda: os.path.exists(mount.socket("g")), "its socket")

        def connect():
            os.execvp("perl", ["perl", "-MSocket", "-e", """
                my $to = pack_sockaddr_un($ARGV[0]);
                while (1) { socket(my $s, PF_UNIX, SOCK_STREAM, 0); connect($s, $to) }
                """, mount.socket("g")])

        with contextlib.ExitStack() as attackers:
            for _ in range(6):
                attackers.enter_context(attacker(connect))
            begin = time.monotonic()
            for _ in range(ROUNDS):
                self.served(mount, "while somebody connects")
                os.listdir(mount.path / "guests")
            took = time.monotonic() - begin
        self.assertLess(took, PATIENCE_S / 10 * ROUNDS * uvpace.factor())


class Source(Attack):
    def test_mkdir(self):
        """Who owns SOURCE puts a file of root's in the place of a folder that is just being made."""
        source, taken, roots = self.source, self.source / ".taken", self.source / ".roots"
        roots.write_bytes(SECRET)
        roots.chmod(0o600)
        secret = roots.stat().st_ino
        for path in (source, source / "other.json"):
            os.chown(path, ATTACKER, ATTACKER)

        def swap():
            os.execvp("perl", ["perl", "-e", """
                my ($new, $taken, $roots, $link) = @ARGV;
                while (1) {
                    rename $new, $taken or next;
                    rename $roots, $new;
                    rename $new, $roots;
                    symlink $link, $new;
                    unlink $new;
                    unlink "$taken/config.json";
                    symlink $link, "$taken/config.json";
                    rename $taken, $new;
                    rename $new, $taken;
                    unlink "$taken/config.json";
                    rmdir $taken;
                }""", source / "new", taken, roots, self.secret])

        mount = self.mount()
        with attacker(swap):
            for _ in range(50 * ROUNDS):
                quietly(os.mkdir, mount.path / "guests" / "new")
        for path in source.rglob("*"):
            st = path.lstat()
            self.assertEqual(st.st_uid == 0, st.st_ino == secret, (path, st))


class Front(Attack):
    def front(self, mount):
        """The child that serves, of the monitor that was started."""
        with open(f"/proc/{mount.process.pid}/task/{mount.process.pid}/children") as file:
            for pid in map(int, file.read().split()):
                if os.readlink(f"/proc/{pid}/exe").endswith("uefivarsfs"):
                    return pid
        raise LookupError("no front")

    def test_what_it_has_given_up(self):
        mount = self.mount("front-user=nobody")
        pid = self.front(mount)
        self.assertEqual(status_field(pid, "Uid"), ["65534"] * 4)
        self.assertEqual(status_field(pid, "Groups"), [])
        for field in ("CapEff", "CapPrm", "CapBnd", "CapAmb"):
            self.assertEqual(int(status_field(pid, field)[0], 16), 0, field)
        self.assertEqual(status_field(pid, "NoNewPrivs"), ["1"])
        if not uvengine.sanitized():
            self.assertEqual(status_field(pid, "Seccomp"), ["2"])
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = quietly(os.readlink, f"/proc/{pid}/fd/{fd}") or ""
            self.assertFalse(target.startswith(str(self.source)), target)
        self.served(mount, "as nobody")

    def test_its_end_is_the_mounts(self):
        mount = self.mount()
        mount.read("other", "A")
        os.kill(self.front(mount), signal.SIGKILL)
        self.assertEqual(mount.process.wait(10), 1)
        self.assertFalse(os.path.ismount(mount.path))

    def test_the_monitors_end_is_its(self):
        mount = self.mount()
        pid = self.front(mount)
        mount.process.kill()
        mount.process.wait()
        uvmount.wait_until(lambda: not uvmount.alive(pid), "the front's end")
        mount.clear()


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("perl")
    if os.geteuid() != 0:
        uvmount.skip("not root: no other user to be")
    unittest.main(verbosity=2)
