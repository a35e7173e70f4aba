#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A store in a qcow2 container: what its server may do, and what an engine can make it do."""

import array
import multiprocessing
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvengine  # noqa: E402
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402

USER = 65534
ROOT = os.geteuid() == 0
LONG = bool(os.environ.get("UV_LONG"))
WITHOUT = os.environ.get("UV_WITHOUT")
TEMPLATE = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
INCOMPATIBLE_LOW = 79  # the byte of the header with the bit of a data file
DATA_FILE_BIT = 4
REPLY = struct.Struct("<IIQQ1024s")
OK, IMAGE, FAILED = range(3)


def helper_program():
    return os.path.join(os.path.dirname(uvengine.program()), "uefivars-qcow2")


def processes(name, parent):
    """Of that name, below `parent`."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/stat") as file:
                text = file.read()
        except (OSError, ValueError):
            continue
        comm, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:]
        if comm == name[:15] and int(rest.split()[1]) == parent:
            found.append(int(entry))
    return found


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


class Helper:
    """uefivars-qcow2 on an image, and the end of its socket that an engine would have."""

    def __init__(self, image, *options, user=None):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(20)
        fd = os.open(image, os.O_RDONLY)
        place = 'exec "$@" 3<&200 4<&201 200<&- 201<&-'
        high = [os.dup2(theirs.fileno(), 200), os.dup2(fd, 201)]
        self.process = subprocess.Popen(["bash", "-c", place, "helper", helper_program(),
                                         *options], pass_fds=high, stderr=subprocess.DEVNULL,
                                        user=user, group=user, extra_groups=user and [])
        for number in high + [fd]:
            os.close(number)
        theirs.close()

    def ask(self, request, fds=()):
        """(outcome, text, connection or None); None if it hung up."""
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.control.sendmsg([request], ancillary)
            data, control, _, _ = self.control.recvmsg(REPLY.size, 256)
        except (ConnectionResetError, BrokenPipeError):
            return None
        if not data:
            return None
        outcome, _, _, _, text = REPLY.unpack(data)
        got = array.array("i", control[0][2] if control else b"")
        connection = socket.socket(fileno=got[0]) if got else None
        return outcome, text.rstrip(b"\0").decode(), connection

    def close(self):
        self.control.close()
        self.process.wait(20)


@unittest.skipUnless(TEMPLATE.exists() and shutil.which("qemu-storage-daemon"),
                     "needs qemu-storage-daemon and OVMF's variables")
class Qcow2(EngineTest):
    def path(self, name):
        return os.path.join(self.folder, name)

    def image(self, name="vars.qcow2", user=None):
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", TEMPLATE,
                        self.path(name)], check=True)
        if user is not None:
            os.chown(self.path(name), user, user)
        return self.path(name)

    def helper(self, image, *options, user=None):
        helper = Helper(image, *options, user=user)
        self.addCleanup(helper.close)
        return helper

    def store_with(self, name, variable):
        """A raw image that has this variable."""
        shutil.copy(TEMPLATE, self.path(name))
        engine = self.engine(name="maker", store=name)
        guest = self.guest(engine)
        self.assert_status(guest.set(variable, p.TEST, p.NV_BS_RT, b"secret"), p.SUCCESS)
        guest.bye()
        engine.stop()
        return self.path(name)

    def run_engine(self, *arguments, wrapper=()):
        return subprocess.run([*wrapper, uvengine.program(), *arguments, "--socket",
                               self.path("s")], capture_output=True, text=True, timeout=60,
                              env=uvengine.environment())

    def test_served(self):
        if uvengine.sanitized():
            self.skipTest("with a sanitizer the program of the image does not start")
        engine = self.engine("--sandbox=strict", store="vars.qcow2", start=False)
        self.image()
        engine.start()
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"kept"), p.SUCCESS)
        guest.bye()
        self.assertEqual(self.host(engine).status()["store"]["format"], "qcow2")
        engine.stop()
        guest = self.guest(self.engine(name="again", store="vars.qcow2"))
        self.assertEqual(guest.get("A", p.TEST, room=64)[2], b"kept")

    def test_the_server_is_confined(self):
        user = USER if ROOT else os.geteuid()
        os.chmod(self.folder, 0o777)
        engine = self.engine(store=os.path.basename(self.image(user=user if ROOT else None)))
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        helper, = processes("uefivars-qcow2", engine.process.pid)
        server, = processes("qemu-storage-daemon", helper)
        for pid, filters in ((helper, "0"), (server, "2")):
            status = status_of(pid)
            self.assertEqual(status["Uid"].split(), [str(user)] * 4)
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(int(status["CapEff"], 16) | int(status["CapPrm"], 16), 0)
            if not uvengine.sanitized():
                self.assertEqual(status["Seccomp"], filters)
        engine.stop()
        self.assertEqual(processes("uefivars-qcow2", engine.process.pid), [])

    def test_takes_no_descriptor(self):
        """A taken-over engine that names another file (it was read and written once)."""
        other = self.store_with("other.fd", "Theirs")
        before = pathlib.Path(other).read_bytes()
        for request in (b"w", b"r", b"s"):
            helper = self.helper(self.image())
            with open(other, "r+b") as file:
                self.assertIsNone(helper.ask(request, [file.fileno()]))
            self.assertEqual(helper.process.wait(10), 0)
        self.assertEqual(pathlib.Path(other).read_bytes(), before)

    def test_ends_at_what_it_does_not_know(self):
        for request in (b"x", b"rr"):
            helper = self.helper(self.image())
            self.assertIsNone(helper.ask(request))
            self.assertEqual(helper.process.wait(10), 0)

    def test_hangs_up_when_its_server_fails(self):
        path = self.image()
        with open(path, "r+b") as file:
            file.seek(20)
            file.write(b"\0\0\0\x3f")  # clusters of 2^63 bytes
        helper = self.helper(path)
        for _ in range(2):
            outcome, _, connection = helper.ask(b"r")
            self.assertEqual(outcome, OK)
            connection.settimeout(10)
            self.assertEqual(connection.recv(1), b"")
            self.assertIn("luster", helper.ask(b"s")[1])

    def refused_images(self):
        with_backing, with_data = self.path("backing.qcow2"), self.path("data.qcow2")
        raw = self.path("raw.fd")
        shutil.copy(TEMPLATE, raw)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", raw, "-F", "raw",
                        with_backing], check=True)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o",
                        f"data_file={self.path('data.raw')}", with_data, "1M"], check=True)
        return ((with_backing, "backing file"), (with_data, "external data file"),
                (raw, "not a qcow2 image"))

    def test_refused_images(self):
        for path, why in self.refused_images():
            outcome, text, connection = self.helper(path).ask(b"r")
            self.assertEqual((outcome, connection), (IMAGE, None))
            self.assertIn(why, text)
            done = self.run_engine("--store", path, "--format=qcow2")
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)
            self.assertIn(path, done.stderr)

    @unittest.skipUnless(WITHOUT, "needs the program `without`")
    def test_a_kernel_without_landlock(self):
        path = self.image()
        wrapper = [WITHOUT, "landlock_create_ruleset"]
        done = self.run_engine("--store", path, wrapper=wrapper)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Landlock", done.stderr)
        engine = self.engine("--sandbox=off", store="vars.qcow2", wrapper=wrapper)
        self.assertEqual(self.host(engine).status()["store"]["format"], "qcow2")

    def test_another_file_in_its_place(self):
        path = self.image()
        engine = self.engine(store="vars.qcow2")
        os.rename(self.image("new.qcow2"), path)
        before = pathlib.Path(path).read_bytes()
        guest = self.guest(engine)
        self.assertNotEqual(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.assertEqual(pathlib.Path(path).read_bytes(), before)
        guest.bye()
        engine.stop()
        guest = self.guest(self.engine(name="next", store="vars.qcow2"))
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)

    def test_handed_over(self):
        """As whoever spawns engines does: the image is opened and given before."""
        helper = Helper(self.image())
        helper.control.setblocking(True)
        engine = self.engine("--format=qcow2", store="vars.qcow2", spawned=True,
                             blockd=helper.control.fileno())
        helper.control.close()
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.assertEqual(processes("uefivars-qcow2", engine.process.pid), [])
        guest.bye()
        engine.stop()
        self.assertEqual(helper.process.wait(20), 0)

    def test_json_that_becomes_qcow2(self):
        path = self.path("vars.json")
        engine = self.engine()
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        guest.bye()
        time.sleep(2.3)  # the store is complete
        with open(self.image("new.qcow2"), "rb") as new, open(path, "r+b") as store:
            store.truncate(0)
            store.write(new.read())
        guest = self.guest(engine)
        self.assertNotEqual(guest.set("B", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.assertEqual(self.host(engine).status()["store"]["format"], "json")
        self.assertEqual(processes("uefivars-qcow2", engine.process.pid), [])
        guest.bye()
        engine.stop()

    def test_the_format_that_was_asked_for(self):
        self.image()
        with open(self.path("vars.json"), "w") as file:
            file.write('{"version": 2, "variables": []}')
        for store, asked in (("vars.qcow2", "json"), ("vars.qcow2", "flash"),
                             ("vars.json", "flash"), ("vars.json", "qcow2"),
                             ("absent", "flash"), ("absent", "qcow2")):
            before = sorted(os.listdir(self.folder))
            done = self.run_engine("--store", self.path(store), f"--format={asked}")
            self.assertEqual(done.returncode, 1, (store, asked))
            self.assertIn(store, done.stderr)
            self.assertLessEqual(set(os.listdir(self.folder)) - {"s", "s.session"}, set(before))
        self.assertEqual(self.run_engine("--store", "x", "--format=raw").returncode, 1)

    # Two guests of one user: one makes its image name the other's as its data file, just when
    # nobody looks.

    def image_with_data_in(self, other, name):
        """An image whose header, with the bit set, means `other`."""
        size = os.path.getsize(other)
        data = self.path("data")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o",
                        f"data_file={data},data_file_raw=on", self.path(name), str(size)],
                       check=True)
        subprocess.run(["qemu-img", "amend", "-f", "qcow2", "-o", f"data_file={other}",
                        self.path(name)], check=True)
        os.chown(self.path(name), USER, USER)
        return self.path(name)

    @staticmethod
    def flip(path, stop):
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        fd = os.open(path, os.O_RDWR)
        clean = os.pread(fd, 1, INCOMPATIBLE_LOW)[0] & ~DATA_FILE_BIT
        while not stop.is_set():
            for bit in (0, DATA_FILE_BIT):
                os.pwrite(fd, bytes([clean | bit]), INCOMPATIBLE_LOW)
                time.sleep(0.004)

    def count_reads_of_other(self, times, *options):
        """How often the other's store was served."""
        os.chmod(self.folder, 0o777)
        other = self.store_with("other.fd", "Theirs")
        os.chown(other, USER, USER)
        os.chmod(other, 0o600)
        before = pathlib.Path(other).read_bytes()
        path = self.image_with_data_in(other, "vars.qcow2")
        stop = multiprocessing.Event()
        flipper = multiprocessing.Process(target=self.flip, args=(path, stop))
        flipper.start()
        helper = self.helper(path, *options, user=USER)
        seen = 0
        try:
            for _ in range(times):
                outcome, _, connection = helper.ask(b"r")
                if outcome == OK:
                    seen += nbd_reads(connection, b"T\0h\0e\0i\0r\0s\0")
                helper.ask(b"s")
        finally:
            stop.set()
            flipper.join()
        self.assertEqual(pathlib.Path(other).read_bytes(), before)
        return seen

    @unittest.skipUnless(ROOT, "needs root to become another user")
    def test_the_race_is_real(self):
        for _ in range(20):
            if self.count_reads_of_other(60, "--unconfined") > 0:
                return
        self.fail("1,200 reads, and none hit the moment: the test of the confinement shows nothing")

    @unittest.skipUnless(ROOT, "needs root to become another user")
    def test_a_data_file_that_appears_later(self):
        self.assertEqual(self.count_reads_of_other(200 if LONG else 40), 0)


def nbd_reads(connection, wanted):
    """1 if the export has these bytes in its first 256 KiB."""
    size = 256 << 10

    def receive(count):
        out = b""
        while len(out) < count:
            part = connection.recv(count - len(out))
            if not part:
                raise ConnectionError
            out += part
        return out

    connection.settimeout(10)
    try:
        receive(18)
        connection.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0))
        receive(10)
        connection.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, 0, size))
        _, error, _ = struct.unpack(">IIQ", receive(16))
        return int(not error and wanted in receive(size))
    except OSError:
        return 0
    finally:
        connection.close()


if __name__ == "__main__":
    unittest.main()
