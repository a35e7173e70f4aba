#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""guests/, the control files of a guest, and the command line."""

import errno
import json
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import variable, wait_until  # noqa: E402

GUID = uvproto.TEST


class ControlTest(unittest.TestCase):
    options = ()

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        (self.source / "vm.json").write_text(uvmount.store_text(variable("Alpha", b"alpha")))
        self.mount = self.scratch.mount(self.source, *self.options)
        self.guest = self.mount.guest("vm")

    def fails(self, number, function, *arguments, **kwargs):
        with self.assertRaises(OSError) as caught:
            function(*arguments, **kwargs)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def names(self):
        return sorted(n[:-37] for n in os.listdir(self.guest / "vars"))


class Guests(ControlTest):
    def test_root(self):
        self.assertIn("guests", os.listdir(self.mount.path))
        self.fails(errno.EPERM, os.mkdir, self.mount.path / "x")
        self.fails(errno.EPERM, (self.mount.path / "x").write_text, "")

    def looks_at_files(self, *command):
        """How often the broker looks at one meanwhile."""
        trace = self.scratch.path / "trace"
        with subprocess.Popen(["strace", "-e", "trace=%file,getdents64", "-o", trace, "-p",
                               str(self.mount.broker_pid())], stderr=subprocess.PIPE) as strace:
            strace.stderr.readline()  # it is attached
            listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            strace.send_signal(signal.SIGINT)
        return listed, len(trace.read_text().splitlines())

    def test_names_of_many(self):
        """Who wants names only waits for no look at each guest, and sees what came and went."""
        uvmount.need("strace")
        guests = self.mount.path / "guests"
        for i in range(300):
            (self.source / f"other{i:03}.json").write_text("")
        wait_until(lambda: len(os.listdir(guests)) == 301, "301 guests")
        wait_until(lambda: sum(name.endswith(".sock") for name in os.listdir(self.mount.sockdir)) >= 301,
                   "all have a socket", 60, step=0.2)
        time.sleep(2)
        (self.source / "new.json").write_text("")
        (self.source / "other007.json").unlink()
        listed, looks = self.looks_at_files("ls", guests)
        self.assertIn("new", listed.split())
        self.assertNotIn("other007", listed.split())
        self.assertEqual(len(listed.split()), 301)
        self.assertLess(looks, 150)  # those at the two that came and went, at most
        os.chmod(self.source / "other299.json", 0o640)
        listed, looks = self.looks_at_files("ls", "-l", guests)
        self.assertEqual(len(listed.splitlines()), 302)
        self.assertGreater(looks, 200)

    def test_looking_starts_no_engine(self):
        for i in range(20):
            (self.source / f"other{i}.json").write_text("")
        wait_until(lambda: len(os.listdir(self.mount.path / "guests")) == 21, "21 guests")
        for name in os.listdir(self.mount.path / "guests"):
            guest = self.mount.guest(name)
            for entry in os.listdir(guest):
                os.lstat(guest / entry)
            os.readlink(guest / "mm.sock")
        self.assertEqual(self.mount.engines(), [])

    def test_mkdir_rmdir(self):
        new = self.mount.guest("new")
        os.mkdir(new)
        self.assertTrue(all(n.endswith(uvproto.GLOBAL) for n in os.listdir(new / "vars")))
        self.fails(errno.EEXIST, os.mkdir, new)
        path = new / "vars" / f"A-{GUID}"
        path.write_bytes(b"\7\0\0\0a")
        self.fails(errno.ENOTEMPTY, os.rmdir, new)
        os.unlink(path)
        os.rmdir(new)
        self.assertFalse(new.exists())
        self.assertEqual(os.listdir(self.mount.path / "guests"), ["vm"])
        self.fails(errno.ENOTEMPTY, os.rmdir, self.guest)

    def test_guests_come_and_go(self):
        held = os.open(self.guest / "vars" / f"Alpha-{GUID}", os.O_RDONLY)
        os.rename(self.source / "vm.json", self.source / "renamed.json")
        wait_until(lambda: os.listdir(self.mount.path / "guests") == ["renamed"], "renamed")
        self.assertFalse(self.guest.exists())
        self.assertEqual(self.mount.read("renamed", "Alpha"), (7, b"alpha"))
        self.assertEqual(os.pread(held, 100, 0), b"")
        os.close(held)
        (self.source / "vm.json").write_text(uvmount.store_text(variable("Beta")))
        wait_until(self.guest.exists, "vm is back")
        self.assertEqual([n for n in self.names() if n in ("Alpha", "Beta")], ["Beta"])

    def test_generated_files(self):
        for name in ("store.json", "status.json", "config.json", "mm.sock"):
            if name != "mm.sock":  # by who is about to make it anew
                self.fails(errno.EPERM, os.unlink, self.guest / name)
            self.fails(errno.EPERM, os.rename, self.guest / name, self.guest / "x")
        self.fails(errno.EPERM, os.rmdir, self.guest / "vars")
        self.fails(errno.EPERM, os.mkdir, self.guest / "x")
        self.fails(errno.EINVAL, os.mkdir, self.mount.guest("b.config.json"))
        for name in ("store.json", "status.json", "config.json"):
            self.assertEqual(stat.S_IMODE(os.stat(self.guest / name).st_mode), 0o600)
        before = self.guest / "status.json"
        before.write_text("{}")  # of a backup: taken, and dropped
        self.assertIn("guest", json.loads(before.read_text()))
        self.assertTrue(stat.S_ISSOCK(os.stat(self.guest / "mm.sock").st_mode))

    def test_status(self):
        text = (self.guest / "status.json").read_text()
        status = json.loads(text)
        self.assertEqual(status["guest"], "vm")
        self.assertIn("storage", status)

    def test_status_is_filled(self):
        """It has the size that was told before it was made, and no blank shows on a terminal."""
        path = self.guest / "status.json"
        for number in range(0, 100, 7):  # of its content's size
            self.fails(errno.EINVAL, (self.guest / "config.json").write_text,
                       json.dumps({"x" * number: 1}))
            told = os.stat(path).st_size
            text = path.read_text()
            self.assertEqual(len(text), told)
            self.assertEqual(len(text) % 4096, 0)
            lines = text.split("\n")
            self.assertEqual(lines.pop(), "")
            self.assertTrue(all(line.strip() for line in lines))
            widest = max(len(line.rstrip()) for line in lines)
            self.assertLessEqual(max(len(line) for line in lines), max(widest, 80))
            self.assertEqual(lines[-1].rstrip(), "}")

    def test_status_by_programs(self):
        """As every other file, and archivers are quiet."""
        path, out = self.guest / "status.json", self.scratch.path
        text = path.read_text()
        for command, expected in (("cat", text), ("head -c 10", text[:10]), ("less", text),
                                  ("tail -n 1", text.splitlines(True)[-1]),
                                  ("grep -c storage", "1\n"), ("wc -c", f"{len(text)} {path}\n"),
                                  ("jq -r .guest", "vm\n"), ("jq -r .storage.variables", None)):
            if not shutil.which(command.split()[0]):
                continue
            got = subprocess.run([*command.split(), path], capture_output=True, text=True, check=False)
            self.assertEqual((got.returncode, got.stderr), (0, ""), command)
            if expected:
                self.assertEqual(got.stdout, expected, command)
        for command in (f"rsync -a {path} {out}/by-rsync", f"cp -a {path} {out}/by-cp",
                        f"tar -cf {out}/tar -C {self.guest} status.json && "
                        f"mkdir {out}/t && tar -xf {out}/tar -C {out}/t && mv {out}/t/* {out}/by-tar"):
            if not shutil.which(command.split()[0]):
                continue
            got = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
            self.assertEqual((got.returncode, got.stderr), (0, ""), command)
        for copy in out.glob("by-*"):
            self.assertEqual(copy.stat().st_size, len(text))
            self.assertEqual(json.loads(copy.read_text())["guest"], "vm")


class Texts(ControlTest):
    def write_in_pieces(self, path, text, size=7, flags=os.O_WRONLY | os.O_TRUNC):
        fd = os.open(path, flags)
        try:
            for at in range(0, len(text), size):
                os.write(fd, text[at:at + size])
        finally:
            os.close(fd)

    def status(self):
        return self.mount.status("vm")

    def test_store_is_read(self):
        text = (self.guest / "store.json").read_text()
        self.assertEqual(os.stat(self.guest / "store.json").st_size, len(text))
        self.assertEqual([v["name"] for v in json.loads(text)["variables"]], ["Alpha"])

    def test_store_is_written(self):
        text = uvmount.store_text(variable("Beta", b"b" * 3000)).encode()
        (self.guest / "store.json").write_bytes(text)
        self.assertIn("Beta", self.names())
        self.assertNotIn("Alpha", self.names())
        text = uvmount.store_text(variable("Gamma", b"}\"{")).encode() + b"\n \n"
        self.write_in_pieces(self.guest / "store.json", text)
        self.assertIn("Gamma", self.names())
        text = uvmount.store_text(variable("Delta")).encode()
        (self.guest / "store.json.new").write_bytes(text)
        os.rename(self.guest / "store.json.new", self.guest / "store.json")
        self.assertIn("Delta", self.names())
        self.assertFalse((self.guest / "store.json.new").exists())
        back = json.loads((self.guest / "store.json").read_text())
        self.assertEqual([v["name"] for v in back["variables"]], ["Delta"])

    def test_store_by_programs(self):
        plain = self.scratch.path / "plain"
        plain.write_text(uvmount.store_text(variable("Beta")))
        for command in (f"cat {plain} > {self.guest}/store.json",
                        f"cp {plain} {self.guest}/store.json",
                        f"sed -i s/Beta/Beto/ {self.guest}/store.json"):
            subprocess.run(["sh", "-c", command], check=True)
        self.assertIn("Beto", self.names())

    def test_store_refused(self):
        store = self.guest / "store.json"
        for text in (b"[]", b"{}}", b'{"version": 3, "variables": []}', b"hello", b'{"a": ]}',
                     b'{"version": 2, "variables": [{"name": "x"}]}'):
            self.fails(errno.EINVAL, store.write_bytes, text)
            self.assertTrue(self.status()["warnings"], text)
        store.write_bytes(b'{"version": 2')  # never complete: dropped
        store.write_bytes(b"")
        os.truncate(store, 0)
        self.assertIn("Alpha", self.names())
        fd = os.open(store, os.O_WRONLY)
        os.write(fd, uvmount.store_text(variable("Beta")).encode())
        self.fails(errno.EINVAL, os.write, fd, b"garbage")
        os.close(fd)

    def test_store_in_a_wrong_way(self):
        """With a gap, too large, and over and over: each is refused by its own reason."""
        store = self.guest / "store.json"
        text = uvmount.store_text(variable("Beta")).encode()
        for number, write in ((errno.EINVAL, lambda fd: os.pwrite(fd, text, 100)),
                              (errno.EFBIG, lambda fd: [os.write(fd, b" " * 100000)
                                                        for _ in range(200)])):
            fd = os.open(store, os.O_WRONLY)
            self.fails(number, write, fd)
            os.close(fd)
            self.assertRegex(self.status()["warnings"][0], r"^store\.json: ")
        with open(store, "wb", buffering=0) as file:  # begun again: what was there is gone
            file.write(b'{"version": 2, "varia')
            file.truncate(0)
            file.seek(0)
            file.write(text)
        self.assertIn("Beta", self.names())

    def test_renamed_onto(self):
        staged, store, config = (self.guest / name for name in
                                 ("store.json.new", "store.json", "config.json"))

        def stage(text):
            staged.write_bytes(text)
            return staged
        before = store.read_bytes()
        for text in (b"", b"{}}", b'{"version": 2', b'{"version": 3, "variables": []}'):
            self.fails(errno.EINVAL, os.rename, stage(text), store)
            self.assertRegex(self.status()["warnings"][0], r"^store\.json", text)
            self.assertEqual(staged.read_bytes(), text)
            staged.unlink()
        self.assertEqual(store.read_bytes(), before)
        os.rename(stage(b'{"size": 65536}'), config)
        self.assertEqual(config.read_bytes(), b'{"size": 65536}')
        os.rename(stage(b""), config)
        self.assertEqual(config.read_bytes(), b"")
        self.fails(errno.EINVAL, os.rename, stage(b'{"sise": 1}'), config)
        self.assertEqual(config.read_bytes(), b"")

    def test_store_with_a_guest(self):
        with uvproto.Guest(self.mount.socket("vm")) as guest:
            guest.hello()
            text = uvmount.store_text(variable("Beta"))
            self.fails(errno.EBUSY, (self.guest / "store.json").write_text, text)
            guest.bye()
        self.assertIn("Alpha", self.names())

    def test_config_is_json(self):
        """What json-glib alone would take, and JSON has not; in one piece and byte by byte."""
        config = self.guest / "config.json"
        for wrong in ('{"size": 0b1000000000000}', r'{"template": "q\x35"}', r'{"template": "\ud800x"}',
                      '{"template": "a\nb"}', '{"size": 4096, "size": 8192}', '{"size": 010000}'):
            with self.subTest(wrong):
                self.fails(errno.EINVAL, config.write_text, wrong)
                self.assertRegex(self.status()["warnings"][0], r"^config\.json:1:\d+: .*expected ")
                self.assertEqual(config.read_text(), "")
                with open(config, "wb", buffering=0) as file:
                    self.fails(errno.EINVAL, lambda: [file.write(bytes([byte]))
                                                      for byte in wrong.encode()])
                self.assertEqual(config.read_text(), "")

    def test_config(self):
        config = self.guest / "config.json"
        self.assertEqual(config.read_text(), "")
        config.write_text('{"size": 65536}\n')
        self.assertEqual(config.read_text(), '{"size": 65536}\n')
        self.assertEqual((self.source / "vm.config.json").read_text(), '{"size": 65536}\n')
        self.fails(errno.EINVAL, config.write_text, '{"sise": 1}')
        self.assertEqual(self.status()["warnings"], ["config.json:1: sise: unknown key"])
        self.fails(errno.EINVAL, config.write_text, '{"size": "large"}')
        subprocess.run(["sed", "-i", "s/65536/131072/", config], check=True)
        self.assertEqual(config.read_text(), '{"size": 131072}\n')
        self.assertEqual(os.stat(config).st_size, 17)
        self.assertEqual(self.status()["warnings"], [])
        self.assertEqual([n for n in os.listdir(self.source) if "new" in n], [])


class Programs(unittest.TestCase):
    """Starting and ending it, as mount(8) and people do."""

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.at = self.scratch.path / "at"
        self.source.mkdir()
        self.at.mkdir()
        (self.source / "vm.json").write_text(uvmount.store_text(variable("Alpha", b"a")))
        self.addCleanup(subprocess.run, ["umount", "-q", "-l", str(self.at)])

    def run_it(self, *arguments):
        return subprocess.run([uvmount.UEFIVARSFS, *map(str, arguments)], capture_output=True,
                              text=True, timeout=20)

    def is_failure(self, result, *words):
        self.assertEqual(result.returncode, 1, result)
        self.assertEqual(result.stdout, "")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        for word in words:
            self.assertIn(str(word), result.stderr)

    def front(self):
        """The daemon's process id."""
        wanted = str(self.at).encode()
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                words = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"uefivarsfs") and wanted in words:
                return int(entry)
        return 0

    def test_daemon(self):
        result = self.run_it(self.source, self.at)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
        self.assertEqual((self.at / "guests/vm/vars" / f"Alpha-{GUID}").read_bytes(), b"\7\0\0\0a")
        (line,) = [m for m in pathlib.Path("/proc/mounts").read_text().splitlines()
                   if f" {self.at} " in m]
        source, _, kind, options, *_ = line.split()
        self.assertEqual((source, kind), (str(self.source), "fuse.uefivarsfs"))
        for option in ("nosuid", "nodev", "noexec", "default_permissions"):
            self.assertIn(option, options.split(","))
        front = self.front()
        self.assertTrue(front)
        subprocess.run(["umount", self.at], check=True)
        wait_until(lambda: not uvmount.alive(front), "the front ended")

    def test_tells_a_service_manager(self):
        for address in (str(self.scratch.path / "notify"), "\0" + str(self.scratch.path)):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(address)
                manager.settimeout(10)
                front = subprocess.Popen(
                    [uvmount.UEFIVARSFS, "-f", self.source, self.at], stderr=subprocess.DEVNULL,
                    env=dict(uvengine.environment(), NOTIFY_SOCKET=address.replace("\0", "@")))
                self.assertEqual(manager.recv(100), b"READY=1")
                self.assertEqual(os.listdir(self.at / "guests"), ["vm"])
                front.terminate()
                self.assertEqual(front.wait(10), 0)

    def test_signal(self):
        self.assertEqual(self.run_it(self.source, self.at).returncode, 0)
        (self.at / "guests/vm/vars" / f"Beta-{GUID}").write_bytes(b"\7\0\0\0b")
        front = self.front()
        os.kill(front, 15)
        wait_until(lambda: not uvmount.alive(front), "the front ended")
        self.assertFalse(os.path.ismount(self.at))
        self.assertIn("Beta", (self.source / "vm.json").read_text())

    def test_relative_paths(self):
        result = subprocess.run([uvmount.UEFIVARSFS, "source", "at"], cwd=self.scratch.path)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(os.listdir(self.at / "guests"), ["vm"])

    def test_refusals(self):
        nothing = self.scratch.path / "nothing"
        self.is_failure(self.run_it(nothing, self.at), nothing)
        self.is_failure(self.run_it(self.source, nothing), nothing)
        self.is_failure(self.run_it(self.source, self.source / "vm.json"), "Not a directory")
        self.is_failure(self.run_it(self.source), "usage")
        self.is_failure(self.run_it("", self.at), "an empty path is no SOURCE")
        self.is_failure(self.run_it(self.source, self.at, "-o", "colour=blue"), "colour=blue")
        self.is_failure(self.run_it(self.source, self.at, "-o", "idle=soon"), "idle", "soon")
        self.is_failure(self.run_it(self.source, self.at, "-o", "size=99999999"), "size")
        self.is_failure(self.run_it(self.source, self.at, "-o", "view=all"), "host, guest")
        self.is_failure(self.run_it(self.source, self.at, "--colour"), "--colour")
        self.is_failure(self.run_it(self.source, self.source), self.source)
        self.assertEqual(self.run_it(self.source, self.at).returncode, 0)
        other = self.scratch.path / "other"
        other.mkdir()
        self.is_failure(self.run_it(self.source, other), self.source, "by uv-monitor (pid ",
                        f"at {self.at}\n")

    def test_mounted_elsewhere(self):
        """In a mount namespace of its own, where nobody would find it."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        uvmount.need("unshare")
        holder = subprocess.Popen(["unshare", "-m", uvmount.UEFIVARSFS, "-f", self.source, self.at],
                                  stderr=subprocess.DEVNULL, env=uvengine.environment())
        try:
            wait_until(lambda: str(self.at) in pathlib.Path(
                f"/proc/{holder.pid}/mountinfo").read_text(), "it is mounted")
            other = self.scratch.path / "other"
            other.mkdir()
            self.is_failure(self.run_it(self.source, other),
                            f"at {self.at} in the mount namespace of pid {holder.pid}")
        finally:
            holder.terminate()
            holder.wait(10)

    def test_programs_are_there(self):
        """Nothing is mounted that could serve no guest."""
        missing = self.scratch.path / "uefivarsd"
        for make in (lambda: None, lambda: missing.write_text(""), missing.unlink, missing.mkdir):
            make()
            self.is_failure(self.run_it(self.source, self.at, "-o", f"engine={missing}"), missing)
            self.assertFalse(os.path.ismount(self.at))

    def test_again_at_once(self):
        """umount(8) is back before the front has ended."""
        for i in range(3):
            self.assertEqual(self.run_it(self.source, self.at).returncode, 0)
            (self.at / "guests/vm/vars" / f"Beta-{GUID}").write_bytes(b"\7\0\0\0b%d" % i)
            subprocess.run(["umount", self.at], check=True)

    def test_no_guests(self):
        """What looks like a guest and is none is told of, once."""
        (self.source / ("x" * 201 + ".json")).write_text("")
        (self.source / "away.json").symlink_to("nowhere")
        os.mkfifo(self.source / "pipe.fd")
        (self.source / "folder.json").symlink_to(self.scratch.path)
        (self.source / "null.json").symlink_to("/dev/null")
        for name, number in (("disk", 1), ("mine", 2)):
            if os.geteuid() == 0:
                os.mknod(self.scratch.path / name, 0o600 | stat.S_IFBLK, os.makedev(1, number))
                (self.source / f"{name}.fd").symlink_to(self.scratch.path / name)
        if os.geteuid() == 0:
            os.lchown(self.source / "mine.fd", 4242, 4242)
        result = self.run_it(self.source, self.at)
        self.assertEqual(result.returncode, 0)
        self.assertEqual(os.listdir(self.at / "guests"), ["vm"])
        for name, reason in (("x" * 201 + ".json", "more than 200 bytes"),
                             ("away.json", "leads nowhere"), ("pipe.fd", "not a regular file"),
                             ("null.json", "no regular file"), ("disk.fd", "block device"),
                             ("mine.fd", "root does not own")):
            if not os.path.lexists(self.source / name):
                continue  # only root makes devices
            line = [l for l in result.stderr.splitlines() if f"/{name}: no guest: " in l]
            self.assertEqual(len(line), 1, result.stderr)
            self.assertIn(reason, line[0])

    def test_nothing_at_all(self):
        """Who finds guests/ empty is told what was looked for: once, not at each look."""
        (self.source / "vm.json").rename(self.scratch.path / "elsewhere")
        (self.source / "vm.qcow").write_text("")
        os.mkfifo(self.source / "pipe.fd")
        front = subprocess.Popen([uvmount.UEFIVARSFS, "-f", self.source, self.at],
                                 stderr=subprocess.PIPE, text=True, env=uvengine.environment())
        wait_until(lambda: os.path.ismount(self.at), "it is mounted")
        for _ in range(3):
            self.assertEqual(os.listdir(self.at / "guests"), [])
            time.sleep(0.2)
        front.terminate()
        said = front.communicate(timeout=20)[1]
        self.assertEqual(said.count("no guests; looked for NAME/ with config.json"), 1, said)
        self.assertIn("NAME_VARS.qcow2", said)
        self.assertEqual(said.count("pipe.fd: no guest"), 1, said)

    def test_help(self):
        self.assertIn("SOURCE MOUNTPOINT", self.run_it("--help").stdout)
        self.assertRegex(self.run_it("--version").stdout, r"^uefivarsfs \d")

    def in_namespace(self, script):
        """Runs a shell script where /usr/local/bin is the folder of our program: mount(8) looks
        for helpers' programs only in the usual places."""
        if os.geteuid() != 0:
            self.skipTest("needs root")
        uvmount.need("mount.fuse3", "unshare")
        return subprocess.run(["unshare", "-m", "sh", "-ec", "mount --bind \"$1\" /usr/local/bin; "
                               f"SOURCE={self.source} AT={self.at}; {script}",
                               "sh", uvmount.UEFIVARSFS.parent],
                              capture_output=True, text=True, timeout=30)

    def test_mount(self):
        result = self.in_namespace(
            f"mount -t fuse.uefivarsfs $SOURCE $AT -o idle=2,allow_other,uid=5,engine="
            f"{uvmount.UEFIVARSD},x-systemd.automount,noauto; stat -c %u $AT/guests/vm/vars; "
            "umount $AT; ls $AT")
        self.assertEqual((result.returncode, result.stdout), (0, "5\n"), result)

    def test_mount_refused(self):
        result = self.in_namespace("mount -t fuse.uefivarsfs $SOURCE $AT -o colour=blue")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("colour=blue", result.stderr)

    def test_fstab(self):
        fstab = self.scratch.path / "fstab"
        fstab.write_text(f"{self.source} {self.at} fuse.uefivarsfs "
                         f"noauto,nofail,_netdev,allow_other,x-systemd.requires=x,"
                         f"engine={uvmount.UEFIVARSD} 0 0\n")
        result = self.in_namespace(f"mount -T {fstab} $AT; ls $AT/guests; umount $AT")
        self.assertEqual((result.returncode, result.stdout), (0, "vm\n"), result)

    def test_read_only(self):
        self.assertEqual(self.run_it(self.source, self.at, "-o", "ro").returncode, 0)
        path = self.at / "guests/vm/vars" / f"Alpha-{GUID}"
        self.assertEqual(path.read_bytes(), b"\7\0\0\0a")
        with self.assertRaises(OSError) as caught:
            path.write_bytes(b"\7\0\0\0b")
        self.assertEqual(caught.exception.errno, errno.EROFS)


class ConfigCounts(ControlTest):
    """An engine that no guest has knows what config.json said before: it ends when that changes."""

    options = ("idle=600",)

    def engine_for_a_look(self, name):
        (self.mount.guest(name) / "vars" / f"X-{GUID}").write_bytes(b"\7\0\0\0x")
        engine = self.mount.engine_pid(name)
        self.assertNotEqual(engine, 0)
        return engine

    def test_config_beside_the_mount(self):
        """Written, made, renamed or removed there, it ends an engine that no guest has all the same."""
        (self.source / "folder").mkdir()
        (self.source / "folder" / "vars.json").write_text("")
        wait_until(lambda: "folder" in os.listdir(self.mount.path / "guests"), "the guest")
        for name, path in ("vm", "vm.config.json"), ("folder", "folder/config.json"):
            path = self.source / path
            aside = self.source / "aside"
            for what, change in (("made", lambda: path.write_text("{}")),
                                 ("written", lambda: path.write_text('{"size": 65536}')),
                                 ("renamed", lambda: (aside.write_text("{}"), aside.rename(path))),
                                 ("removed", path.unlink)):
                with self.subTest(name, change=what):
                    engine = self.engine_for_a_look(name)
                    change()
                    wait_until(lambda: not uvmount.alive(engine), "its end")

    def test_empty_config_renamed_onto_it(self):
        (self.guest / "config.json").write_text('{"disable-custom-mode": true}')
        engine = self.engine_for_a_look("vm")
        (self.guest / ".config.json.new").write_text("")
        (self.guest / ".config.json.new").rename(self.guest / "config.json")
        self.assertFalse(uvmount.alive(engine))
        self.assertEqual((self.source / "vm.config.json").read_text(), "")

    def test_config_counts_for_the_next_guest(self):
        """An engine that somebody's look has started ends: it knows what config.json said before."""
        before = self.engine_for_a_look("vm")
        (self.guest / "config.json").write_text('{"disable-custom-mode": true}')
        self.assertFalse(uvmount.alive(before))
        with uvproto.Guest(self.mount.socket("vm")) as guest:
            guest.hello()
            status = guest.set("CustomMode", "c076ec0c-7028-4399-a072-71ee5c448b9f", uvproto.NV_BS, b"\1")
            self.assertEqual(uvproto.status_name(status), "SECURITY_VIOLATION")
            running = self.mount.engine_pid("vm")
            (self.guest / "config.json").write_text("{}")  # from its next start on
            self.assertEqual(self.mount.engine_pid("vm"), running)


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=1)
