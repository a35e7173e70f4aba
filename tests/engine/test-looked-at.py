#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine that is started to be looked at: it can verify no signature, so it changes nothing, and
it stands in nobody's way."""

import errno
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402


def maps(engine):
    return pathlib.Path(f"/proc/{engine.process.pid}/maps").read_text()


class LookedAt(EngineTest):
    def setUp(self):
        super().setUp()
        self.e = self.engine(spawned=True)
        host = self.host(self.e)
        self.assertIn("gnutls", maps(self.e))
        self.assertTrue(host.set_variable("V", p.TEST, data=b"value").ok)
        self.assertTrue(host.end())
        self.e.process.wait(10)

    def start(self, *options):
        """The next one with the same files; its first host is the test's, for it ends with the last."""
        self.e.options = list(options)
        self.e.start(wait=False)
        return self.host(self.e)

    def test_reads(self):
        host = self.start("--looked-at")
        self.assertNotIn("gnutls", maps(self.e))
        self.assertEqual(host.snapshot()["entries"][f"V-{p.TEST}"][0][4:], b"value")
        self.assertIn(b"mode: setup", host.view_read("secure-boot", "summary"))
        self.assertIn(b'"V"', host.export())
        self.assertTrue(host.end())
        self.assertEqual(self.e.process.wait(10), 0)

    def test_changes_nothing(self):
        host = self.start("--looked-at")
        name = f"V-{p.TEST}"
        for outcome in (host.set(name, b"\7\0\0\0other"), host.delete(name), host.touch(name, 1),
                        host.view_act("boot", "timeout", b"5"), host.import_(host.export())):
            self.assertEqual(outcome.errno, errno.EROFS)
            self.assertIn("looked at", outcome.reason)
        self.assertEqual(host.snapshot()["entries"][name][0][4:], b"value")

    def test_ends_with_the_last_host(self):
        host = self.start("--looked-at")
        second = p.Host(self.e.host_socket)
        second.hello()
        host.close()
        self.assertTrue(second.snapshot()["entries"])
        second.close()
        self.assertEqual(self.e.process.wait(10), 0)

    def test_leaves_the_session(self):
        """That of a guest whose engine died is its next engine's."""
        self.start()
        guest = self.guest(self.e)
        self.assert_status(guest.set("S", p.TEST, p.BS, b"volatile"), p.SUCCESS)
        self.e.kill()
        host = self.start("--looked-at")
        self.assertIn(f"S-{p.TEST}", host.snapshot()["entries"])
        host.end()
        self.assertEqual(self.e.process.wait(10), 0)
        self.start()
        again = self.guest(self.e, session=guest.session, flags=p.HELLO_RESUME)
        self.assertEqual(again.get("S", p.TEST)[2], b"volatile")


class Bare(EngineTest):
    """A store that nothing lies beside: it is read through the descriptor that was opened before
    confinement, and there is no keeper."""

    def setUp(self):
        super().setUp()
        self.e = self.engine("--looked-at", "--format=json", spawned=True, start=False)
        self.put(b"value")

    def put(self, data):
        """As others replace it."""
        text = uvmount.store_text(uvmount.variable("V", data))
        pathlib.Path(self.e.store + ".new").write_text(text)
        os.replace(self.e.store + ".new", self.e.store)

    def start(self):
        self.e.start(wait=False)
        host = self.host(self.e)
        self.assertIn(f"V-{p.TEST}", host.snapshot()["entries"])
        return host

    def children(self):
        pid = self.e.process.pid
        return pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def test_needs_no_keeper(self):
        host = self.start()
        self.assertEqual(self.children(), [])
        self.assertIn(b"mode: setup", host.view_read("secure-boot", "summary"))
        self.assertIn(b'"V"', host.export())
        self.assertEqual(host.set(f"V-{p.TEST}", b"\7\0\0\0x").errno, errno.EROFS)
        self.assertTrue(host.end())
        self.assertEqual(self.e.process.wait(10), 0)
        self.assertEqual(sorted(os.listdir(self.e.folder)),
                         sorted(os.path.basename(path) for path in
                                (self.e.store, self.e.socket, self.e.host_socket, self.e.session)))

    def test_has_one_beside_sidecars(self):
        sidecars = pathlib.Path(self.e.folder) / ".uefivarsfs"
        sidecars.mkdir(0o700)
        (sidecars / "vars.json.lock").touch(0o600)
        self.start()
        self.assertEqual(len(self.children()), 1)

    def test_ends_when_the_store_is_replaced(self):
        for change in (lambda: self.put(b"other"),
                       lambda: pathlib.Path(self.e.store).write_text(uvmount.store_text())):
            host = self.start()
            change()
            with self.assertRaisesRegex(p.ErrorFrame, "ERROR 8: "):
                host.check()
            self.assertEqual(self.e.process.wait(10), 0)
            self.put(b"value")


if __name__ == "__main__":
    unittest.main()
