#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Who owns what and who may do what: engines and sockets of a store's owner, links below SOURCE,
control files."""

import errno
import grp
import os
import pathlib
import pwd
import signal
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable  # noqa: E402

OWNER, OTHER = 4242, 4243


def status_field(pid, field):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return line.split()[1:]
    raise KeyError(field)


def as_user(uid, *command):
    """The exit status of a command run by somebody else."""
    return subprocess.run(command, user=uid, group=uid, extra_groups=[], capture_output=True,
                          check=False).returncode


class Permissions(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()

    def store(self, name, uid=0, folder=None):
        path = (folder or self.source) / f"{name}.json"
        path.write_text(uvmount.store_text(variable("A", name.encode())))
        path.chmod(0o600)
        os.chown(path, uid, uid)
        return path

    def mount(self, *options):
        return self.scratch.mount(self.source, *options)

    def test_engine_is_the_owner(self):
        for uid in (OWNER, 0):
            os.chown(self.source, uid, uid)
            with self.subTest(folder=uid):
                self.store(f"g{uid}", OWNER)
                mount = self.mount("idle=60")
                mount.write(f"g{uid}", "B", b"b")
                pid = mount.engine_pid(f"g{uid}")
                self.assertEqual(status_field(pid, "Uid"), [str(OWNER)] * 4)
                self.assertEqual(status_field(pid, "Gid"), [str(OWNER)] * 4)
                self.assertEqual(status_field(pid, "Groups"), [])
                self.assertEqual(status_field(pid, "NoNewPrivs"), ["1"])
                self.assertEqual(status_field(pid, "Seccomp"),
                                 ["0" if uvengine.sanitized() else "2"])
                self.assertEqual(os.getsid(pid), pid)
                mount.stop()
                st = (self.source / f"g{uid}.json").stat()
                self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)),
                                 (OWNER, OWNER, 0o600))
                self.assertIn('"B"', (self.source / f"g{uid}.json").read_text())

    OWNERS = (("a", OWNER), ("b", OTHER), ("c", 0))

    def test_stores_of_two_owners(self):
        """Each engine writes beside its store, and nobody comes to the other's sidecars."""
        for name, uid in self.OWNERS:
            self.store(name, uid)
        mount = self.mount("idle=60")
        for name, uid in self.OWNERS:
            mount.write(name, "B", b"b")
            self.assertEqual(mount.status(name)["warnings"], [])
            pid = mount.engine_pid(name)
            self.assertEqual(status_field(pid, "Uid")[0], str(uid))
            os.kill(pid, signal.SIGKILL)  # what counts is in the journal
            uvmount.wait_until(lambda: not uvmount.alive(pid), "its end")
            self.assertEqual(mount.read(name, "B")[1], b"b")
        self.refuse_strangers()
        mount.stop()
        for name, uid in self.OWNERS:
            path = self.source / f"{name}.json"
            self.assertIn('"B"', path.read_text())
            self.assertEqual(path.stat().st_uid, uid)

    def test_stores_in_a_strangers_folder(self):
        """Only who owns the folder has engines there, or root says who they are."""
        os.chown(self.source, OWNER, OWNER)
        for name, uid in self.OWNERS:
            self.store(name, uid)
        mount = self.mount("idle=60")
        mount.write("a", "B", b"b")
        self.assertEqual(status_field(mount.engine_pid("a"), "Uid")[0], str(OWNER))
        for name in ("b", "c"):
            with self.assertRaises(OSError) as caught:
                mount.write(name, "B", b"b")
            self.assertEqual(caught.exception.errno, errno.EIO)
            self.assertIn("engine-user=", " ".join(mount.status(name)["warnings"]))
            self.assertEqual(mount.engine_pid(name), 0)

    def refuse_strangers(self):
        others = self.source / ".uefivarsfs-others"
        for name, uid, stranger in (("a", OWNER, OTHER), ("b", OTHER, OWNER), ("c", 0, OWNER)):
            own = self.source / ".uefivarsfs" if name == "a" else others / f"{name}.json"
            lock = own / f"{name}.json.lock"
            self.assertEqual(lock.stat().st_uid, uid)
            self.assertEqual((own.stat().st_uid, stat.S_IMODE(own.stat().st_mode)), (uid, 0o700))
            for command in (["ls", own], ["cat", lock], ["touch", own / f"{name}.json.tmp"],
                            ["mv", own, others / "moved"], ["rm", "-rf", own],
                            ["mkdir", others / "new.json"], ["touch", others / "new"]):
                self.assertNotEqual(as_user(stranger, *map(str, command)), 0, command)
        self.assertEqual((others.stat().st_uid, stat.S_IMODE(others.stat().st_mode)), (0, 0o711))
        self.assertFalse(list((self.source / ".uefivarsfs").glob("[bc].json*")))

    def test_sidecars_of_one_owner(self):
        """Where people and other programs look for them: .uefivarsfs/NAME.journal and so on."""
        self.store("g", OWNER)
        mount = self.mount("idle=60")
        mount.write("g", "B", b"b")
        sidecars = self.source / ".uefivarsfs"
        names = {path.name for path in sidecars.iterdir()}
        self.assertLessEqual({"g.json.journal", "g.json.lock"}, names)
        self.assertEqual((sidecars.stat().st_uid, stat.S_IMODE(sidecars.stat().st_mode)),
                         (OWNER, 0o700))
        self.assertFalse((self.source / ".uefivarsfs-others").exists())

    def test_planted_sidecars_stay(self):
        """What a stranger put into his folder for somebody else's store is not taken for its own."""
        self.store("mine", OWNER)
        self.store("yours", OTHER)
        mount = self.mount("idle=60")
        mount.write("mine", "B", b"b")
        planted = self.source / ".uefivarsfs" / "yours.json.journal"
        planted.write_bytes((planted.parent / "mine.json.journal").read_bytes())
        os.chown(planted, OWNER, OWNER)
        mount.write("yours", "C", b"c")
        self.assertTrue(planted.exists())
        self.assertNotIn("B-", " ".join(path.name for path in mount.vars("yours").iterdir()))

    def test_read_only_file_system(self):
        """A store that is another owner's than its folder can be read there, too."""
        tmpfs = self.scratch.path / "tmpfs"
        tmpfs.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "none", tmpfs], check=True)
        self.scratch.stack.callback(subprocess.run, ["umount", "-l", tmpfs])
        self.store("g", OWNER, tmpfs)
        subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
        mount = self.scratch.mount(tmpfs, "idle=60")
        self.assertEqual(mount.read("g", "A")[1], b"g")
        with self.assertRaises(OSError) as caught:
            mount.write("g", "B", b"b")
        self.assertEqual(caught.exception.errno, errno.EROFS)
        self.assertIn("Read-only file system", mount.status("g")["last-refusal"]["text"])

    def test_store_changes_its_owner(self):
        """libvirt gives a store to QEMU's user when a guest starts, and back when it ends."""
        path = self.store("g", 0)
        mount = self.mount("idle=1")
        for i, uid in enumerate((0, OWNER, OTHER, 0)):
            os.chown(path, uid, uid)
            mount.write("g", "B", b"%d" % i)
            self.assertEqual(status_field(mount.engine_pid("g"), "Uid")[0], str(uid))
            sidecars = ".uefivarsfs-others/g.json" if i else ".uefivarsfs"
            self.assertEqual((self.source / sidecars / "g.json.lock").stat().st_uid, uid)
            self.assertEqual(len(list(self.source.glob(".uefivarsfs*/**/g.json.lock"))), 1)
            if i == 2:  # given away under the journal, as at a guest's end
                os.chown(path, 0, 0)
            pid = mount.engine_pid("g")
            uvmount.wait_until(lambda: not uvmount.alive(pid), "the engine has ended", 15)
            self.assertEqual(mount.read("g", "B")[1], b"%d" % i)
            uvmount.wait_until(lambda: not mount.engine_pid("g"), "its successor, too", 15)
        mount.stop()
        self.assertEqual(list(self.source.glob(".uefivarsfs*/**/*.journal*")), [])

    def test_labelled_store(self):
        """What libvirt labels stays the file that it is: only root sees its labels."""
        cases = (("plain", False), ("labelled", True))
        for name, labelled in cases:
            folder = self.source / name
            folder.mkdir()
            os.chown(folder, OWNER, OWNER)
            path = self.store("vars", OWNER, folder)
            if labelled:
                os.setxattr(path, "trusted.libvirt.security.ref_dac", b"1")
        mount = self.mount()
        for name, labelled in cases:
            with self.subTest(name):
                path = self.source / name / "vars.json"
                before = path.stat().st_ino
                mount.write(name, "B", b"\5")
                (mount.guest(name) / "store.json").read_text()  # the store is complete now
                self.assertEqual(path.stat().st_ino == before, labelled)
                self.assertIn('"B"', path.read_text())

    def test_front_says_what_it_gave_up(self):
        self.store("g", OWNER)
        mount = self.mount()
        front = mount.status("g")["front"]
        expected = ["capabilities", "landlock"]
        if uvengine.sanitized():
            self.assertEqual(len(front["not-confined"]), 1, front)
        else:
            self.assertEqual(front["not-confined"], [])
            expected.append("seccomp")
        for what in expected:
            self.assertTrue(any(what in line for line in front["confinement"]), front)
        for field, value in (("CapEff", "0000000000000000"), ("NoNewPrivs", "1"),
                             ("Seccomp", "0" if uvengine.sanitized() else "2")):
            self.assertEqual(status_field(mount.front_pid(), field), [value], field)

    def test_broker_has_files_only(self):
        """SOURCE is the broker's, and all else that the monitor may do is not."""
        self.store("g", OWNER)
        mount = self.mount()
        mount.write("g", "B", b"b")
        broker = mount.broker_pid()
        chown, dac, fowner, fsetid, setgid, setuid, setpcap, ptrace = 0, 1, 3, 4, 6, 7, 8, 19
        kept = sum(1 << bit for bit in (chown, dac, fowner, fsetid, setgid, setuid, setpcap, ptrace))
        for field in ("CapPrm", "CapBnd"):
            self.assertEqual(status_field(broker, field), [f"{kept:016x}"], field)
        self.assertEqual(status_field(broker, "CapEff"), [f"{kept:016x}"])
        self.assertEqual(status_field(broker, "NoNewPrivs"), ["1"])
        self.assertEqual(status_field(broker, "Seccomp"), ["0" if uvengine.sanitized() else "2"])
        self.assertEqual(status_field(broker, "Groups"), [])
        def targets(pid):
            return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        self.assertIn(str(self.source), targets(broker))
        for target in targets(broker):
            self.assertNotIn("/dev/fuse", target)
            self.assertNotIn(str(mount.sockdir), target)
        for target in targets(mount.process.pid):
            self.assertFalse(target.startswith(f"{self.source}/"), target)

    def test_mount_ends_with_its_broker(self):
        self.store("g", OWNER)
        mount = self.mount()
        mount.write("g", "B", b"b")
        os.kill(mount.broker_pid(), signal.SIGKILL)
        uvmount.wait_until(lambda: not os.path.ismount(mount.path), "the mount has ended")
        mount.process.wait(10)

    def test_engine_has_its_descriptors_only(self):
        self.store("g", OWNER)
        self.store("h", OWNER)
        mount = self.mount("idle=60")
        mount.write("h", "B", b"b")
        mount.write("g", "B", b"b")
        pid = mount.engine_pid("g")
        targets = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        for target in targets:
            self.assertNotIn("/dev/fuse", target)
            self.assertNotIn("h.json", target)
            self.assertNotIn("inotify", target)

    def test_made_guest_is_of_the_folders_owner(self):
        os.chown(self.source, OWNER, OWNER)
        mount = self.mount("idle=60")
        os.mkdir(mount.path / "guests" / "new")
        mount.write("new", "A", b"a")
        self.assertEqual(status_field(mount.engine_pid("new"), "Uid")[0], str(OWNER))
        mount.stop()
        self.assertEqual((self.source / "new" / "vars.json").stat().st_uid, OWNER)

    def test_sockets(self):
        self.store("g", OWNER)
        mount = self.mount()
        path = os.path.realpath(mount.guest("g") / "mm.sock")
        self.assertEqual(path, mount.socket("g"))
        st = os.stat(path)
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (OWNER, OWNER, 0o660))
        self.assertTrue(uvmount.can_connect(OWNER, path))
        self.assertFalse(uvmount.can_connect(OTHER, path))
        mount.write("g", "B", b"b")
        host = os.stat(mount.socket("g", ".host"))
        self.assertEqual((host.st_uid, stat.S_IMODE(host.st_mode)), (0, 0o600))
        self.assertFalse(uvmount.can_connect(OWNER, mount.socket("g", ".host")))

    def test_sock_group_and_mode(self):
        self.store("g", OWNER)
        group = grp.getgrgid(1)
        mount = self.mount(f"sock-group={group.gr_name}", "sock-mode=0600")
        st = os.stat(mount.guest("g") / "mm.sock")
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (OWNER, 1, 0o600))

    def test_engine_user(self):
        self.store("g", 0)
        (self.source / "g.json").chmod(0o666)
        mount = self.mount("idle=60", "engine-user=nobody")
        self.assertEqual(mount.read("g", "A")[1], b"g")
        self.assertEqual(status_field(mount.engine_pid("g"), "Uid")[0],
                         str(pwd.getpwnam("nobody").pw_uid))

    def test_links(self):
        """Root's links are followed, others' are no guests and no way out."""
        outside = self.scratch.path / "outside"
        outside.mkdir()
        target = self.store("target", 0, outside)
        for name, uid in (("root", 0), ("user", OWNER)):
            (self.source / f"{name}.json").symlink_to(target)
            os.chown(self.source / f"{name}.json", uid, uid, follow_symlinks=False)
        sub = self.source / "sub"
        sub.mkdir()
        (sub / "config.json").write_text("{}")
        (sub / "vars.json").symlink_to(target)
        for path in (sub / "vars.json", sub):
            os.chown(path, OWNER, OWNER, follow_symlinks=False)
        mount = self.mount("idle=60")
        self.assertEqual(sorted(os.listdir(mount.path / "guests")), ["root", "sub"])
        self.assertEqual(mount.read("root", "A")[1], b"target")
        mount.write("root", "B", b"b")
        with self.assertRaises(OSError):
            mount.read("sub", "A")
        mount.stop()
        self.assertTrue((self.source / "root.json").is_symlink())
        self.assertIn('"B"', target.read_text())

    def test_control_files(self):
        self.store("g", OWNER)
        mount = self.mount("allow_other")
        for name in ("store.json", "config.json", "status.json"):
            st = os.stat(mount.guest("g") / name)
            self.assertEqual(stat.S_IMODE(st.st_mode), 0o600, name)
            self.assertNotEqual(as_user(OTHER, "cat", str(mount.guest("g") / name)), 0)
        self.assertEqual(as_user(OTHER, "touch", str(mount.vars("g") / f"B-{uvproto.TEST}")), 1)
        self.assertEqual(as_user(OTHER, "ls", str(mount.path / "guests")), 0)

    def test_sockdir_of_somebody_else(self):
        self.store("g")
        bad = self.scratch.path / "bad"
        bad.mkdir()
        bad.chmod(0o777)
        mountpoint = self.scratch.path / "other"
        mountpoint.mkdir()
        result = subprocess.run([str(uvmount.UEFIVARSFS), str(self.source), str(mountpoint), "-o",
                                 f"sockdir={bad}"], capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(str(bad), result.stderr)


if __name__ == "__main__":
    uvmount.need_mount()
    if os.geteuid() != 0:
        uvmount.skip("not root")
    unittest.main(verbosity=2)
