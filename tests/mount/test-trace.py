#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""guests/G/trace and trace.pcap: what the guest does, read while it does it."""

import errno
import json
import os
import pathlib
import select
import signal
import stat
import statistics
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvengine  # noqa: E402
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
from uvmount import wait_until  # noqa: E402

REQUESTS = 1_000_000 if os.environ.get("UV_LONG") else 20_000
MARK = 0x1234567
PCAP_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65536, 302)


class Reader:
    """One open trace."""

    def __init__(self, path, flags=0):
        self.fd = os.open(path, os.O_RDONLY | flags)
        self.text = b""

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def ready(self, seconds=10):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return [events for _, events in poll.poll(seconds * 1000)]

    def read(self, size=65536):
        if not self.ready():
            raise TimeoutError("nothing to read")
        return os.read(self.fd, size)

    def line(self):
        while b"\n" not in self.text:
            part = self.read()
            if not part:
                raise EOFError
            self.text += part
        line, _, self.text = self.text.partition(b"\n")
        return json.loads(line)

    def until(self, **members):
        """Lines up to the one that has these members, without it."""
        lines = []
        while True:
            line = self.line()
            if members.items() <= line.items():
                return lines
            lines.append(line)

    def packets(self, count):
        """Their kinds and messages."""
        while len(self.text) < 24:
            self.text += self.read()
        header, self.text = self.text[:24], self.text[24:]
        assert header == PCAP_HEADER, header
        packets = []
        while len(packets) < count:
            while len(self.text) < 16 or len(self.text) < 16 + struct.unpack_from("<8xI", self.text)[0]:
                self.text += self.read()
            size, = struct.unpack_from("<8xI", self.text)
            packet, self.text = self.text[16:16 + size], self.text[16 + size:]
            packets.append((int.from_bytes(packet[:4], "little"), packet[4:]))
        return packets


class TraceTest(unittest.TestCase):
    options = ("idle=1",)

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        (self.source / "vm.json").write_text(uvmount.store_text(uvmount.variable("A", b"1")))
        self.mount = self.scratch.mount(self.source, *self.options)
        self.folder = self.mount.guest("vm")

    def guest(self, **named):
        guest = p.Guest(self.mount.socket("vm")).hello(**named)
        self.addCleanup(guest.close)
        return guest

    def reader(self, name="trace", flags=0):
        reader = Reader(self.folder / name, flags)
        self.addCleanup(reader.close)
        return reader

    def fails(self, number, function, *arguments):
        with self.assertRaises(OSError) as caught:
            function(*arguments)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def functions(self, lines):
        return [line.get("event") or line["function"] for line in lines]


class Trace(TraceTest):
    def test_a_boot(self):
        """Opened before there is an engine, and so from the guest's first request on."""
        reader = self.reader()
        self.assertEqual(self.mount.engines(), [])
        guest = self.guest(name="a \"guest\"")
        guest.get("A", p.TEST)
        guest.set("B", p.TEST, data=b"23")
        guest.reset()
        guest.query(MARK)
        lines = reader.until(attributes=MARK)
        self.assertEqual(self.functions(lines), ["session-begun", "GetVariable", "SetVariable", "reset"])
        self.assertEqual(lines[0]["client"], "a \"guest\"")
        self.assertEqual((lines[1]["variable"], lines[1]["reply-size"]), (f"A-{p.TEST}", 1))
        self.assertEqual((lines[2]["size"], lines[2]["status"]), (2, 0))

    def test_from_then_on(self):
        """A request that came before is not told, one that comes after open() has returned is."""
        guest = self.guest()
        for i in range(50):
            guest.query(i << 8)
            reader = self.reader()
            guest.query(i << 8 | 1)
            self.assertEqual(reader.line()["attributes"], i << 8 | 1)
            reader.close()

    def test_engines_come_and_go(self):
        reader = self.reader()
        for end in ("bye", "kill", "bye"):
            guest = self.guest(name=end)
            guest.query(MARK)
            if end == "kill":
                pid, = self.mount.engines()
                reader.until(attributes=MARK)
                os.kill(pid, signal.SIGKILL)
            else:
                guest.bye()
                self.assertEqual(self.functions(reader.until(event="session-ended", client=end))[-1],
                                 "QueryVariableInfo")
            wait_until(lambda: not self.mount.engines(), "its engine ends", 20)
        guest = self.guest(name="last")
        self.assertEqual(reader.line()["client"], "last")

    def test_waiting(self):
        reader = self.reader(flags=os.O_NONBLOCK)
        self.fails(errno.EAGAIN, os.read, reader.fd, 10)
        self.assertEqual(reader.ready(0), [])
        self.assertEqual(select.select([reader.fd], [], [], 0)[0], [])
        guest = self.guest()
        self.assertEqual(reader.ready(), [select.POLLIN])
        self.assertEqual(reader.line()["event"], "session-begun")
        self.fails(errno.EAGAIN, os.read, reader.fd, 10)
        for i in range(20):
            guest.query(MARK + i)
            self.assertEqual(reader.ready(), [select.POLLIN])
            self.assertEqual(reader.line()["attributes"], MARK + i)
        self.fails(errno.ESPIPE, os.lseek, reader.fd, 0, os.SEEK_SET)

    def test_blocking(self):
        """cat shows lines while they come, and can be interrupted and killed."""
        for number in (signal.SIGINT, signal.SIGKILL):
            with subprocess.Popen(["cat", self.folder / "trace"], stdout=subprocess.PIPE) as cat:
                wait_until(lambda: uvmount.process_state(cat.pid) in "SD" and
                           pathlib.Path(f"/proc/{cat.pid}/comm").read_text() == "cat\n", "cat waits")
                time.sleep(0.2)
                guest = self.guest()
                self.assertEqual(json.loads(cat.stdout.readline())["event"], "session-begun")
                guest.bye()
                time.sleep(0.2)
                cat.send_signal(number)
                self.assertEqual(cat.wait(5), -number)

    def test_small_reads(self):
        reader = self.reader()
        self.guest().query(MARK)
        text = b""
        while b"us" not in text or not text.endswith(b"\n"):
            part = reader.read(3)
            self.assertLessEqual(len(part), 3)
            text += part
        self.assertEqual(json.loads(text.splitlines()[-1])["attributes"], MARK)

    def test_several_readers(self):
        readers = [self.reader() for _ in range(3)]
        packets = self.reader("trace.pcap")
        guest = self.guest()
        guest.query(MARK)
        readers.append(self.reader())
        guest.query(MARK + 1)
        for reader in readers[:3]:
            self.assertEqual(self.functions(reader.until(attributes=MARK + 1)),
                             ["session-begun", "QueryVariableInfo"])
        self.assertEqual(readers[3].line()["attributes"], MARK + 1)
        self.assertEqual(len(packets.packets(4)), 4)
        readers[0].close()
        guest.query(MARK + 2)
        self.assertEqual(readers[1].line()["attributes"], MARK + 2)
        many = [self.reader() for _ in range(12)]
        self.fails(errno.EMFILE, os.open, self.folder / "trace", os.O_RDONLY)
        for reader in many:
            reader.close()
        wait_until(lambda: not self.reader().close(), "others can read again")

    def test_packets(self):
        """The file that QEMU's own device would write."""
        reader = self.reader("trace.pcap")
        self.assertEqual(reader.ready(0), [select.POLLIN])  # the file's header
        guest = self.guest()
        messages = [p.mm_set("B", p.TEST, 7, b"data"), p.mm_get("B", p.TEST, 100),
                    p.mm_message(p.EVENT_END_OF_DXE, b"")]
        replies = [guest.mm(message)[1] for message in messages]
        guest.reset()
        wanted = [(kind, bytes(data)) for message, reply in zip(messages, replies)
                  for kind, data in ((2, message), (3, reply))] + [(1, b"")]
        self.assertEqual(reader.packets(7), wanted)

    def test_the_files(self):
        for name in ("trace", "trace.pcap"):
            path = self.folder / name
            self.assertNotIn(name, os.listdir(self.folder))
            self.assertEqual(path.stat().st_mode, stat.S_IFREG | 0o400)
            self.assertEqual(path.stat().st_size, 0)
            self.assertEqual(path.stat().st_uid, (self.source / "vm.json").stat().st_uid)
            self.fails(errno.EPERM, os.open, path, os.O_WRONLY)
            self.fails(errno.EPERM, os.open, path, os.O_RDWR)
            self.fails(errno.EPERM, os.unlink, path)
            self.fails(errno.EPERM, os.rename, path, self.folder / "other")
        self.assertNotEqual((self.folder / "trace").stat().st_ino,
                            (self.folder / "trace.pcap").stat().st_ino)
        subprocess.run(["cp", "-r", self.folder, self.scratch.path / "copy"], check=True, timeout=30)

    def test_guest_goes_away(self):
        reader, other = self.reader(), self.reader()
        with subprocess.Popen(["cat", self.folder / "trace.pcap"], stdout=subprocess.PIPE) as cat:
            self.assertEqual(cat.stdout.read(24), PCAP_HEADER)
            (self.source / "vm.json").unlink()
            self.assertEqual(cat.stdout.read(), b"")
            self.assertEqual(cat.wait(10), 0)
        self.assertEqual(reader.ready(), [select.POLLIN | select.POLLHUP])
        self.assertEqual(os.read(reader.fd, 10), b"")
        self.assertEqual(os.read(other.fd, 10), b"")

    def test_slow_reader(self):
        """It loses lines and is told how many, while another one gets them; nobody keeps more for it
        than a limit."""
        slow, packets = self.reader(), self.reader("trace.pcap")
        guest = self.guest()
        message = p.mm_get("Absent", p.TEST, 0)
        for _ in range(10000):
            guest.mm(message)
        pids = self.mount.engines() + [self.mount.front_pid()]
        before = [uvmount.memory_kib(pid) for pid in pids]
        for _ in range(REQUESTS):
            guest.mm(message)
        grown = [uvmount.memory_kib(pid) - kib for pid, kib in zip(pids, before)]
        if not uvengine.sanitized():  # its allocator keeps what was freed
            self.assertLess(max(grown), 4096)
        fast = self.reader()
        guest.query(MARK)
        self.assertEqual(fast.line()["attributes"], MARK)
        lines = slow.until(attributes=MARK)
        lost = sum(line["lines"] for line in lines if line.get("event") == "lost")
        self.assertGreater(lost, REQUESTS // 2)
        self.assertEqual(sum("function" in line for line in lines) + lost, 10000 + REQUESTS)
        self.assertEqual([kind for kind, _ in packets.packets(1000)], [2, 3] * 500)
        while packets.ready(1):
            packets.read()
        packets.close()
        wait_until(lambda: "did not keep up" in self.mount.log.read_text(), "the log tells of packets")

    @unittest.skipUnless(os.environ.get("UV_LONG"), "the time of many requests")
    def test_latency(self):
        """With a reader that stands still a request takes no longer than without any."""
        guest = self.guest()
        message = p.mm_get("Absent", p.TEST, 0)

        def took(count=2500):
            began = time.perf_counter()
            for _ in range(count):
                guest.mm(message)
            return time.perf_counter() - began

        ratios = []
        for _ in range(40):
            alone = took()
            reader = self.reader()
            took(4000)  # until it is far behind
            ratios.append(took() / alone)
            reader.close()
        self.assertLess(statistics.median(ratios), 1.1)

    def test_stopped_engine(self):
        """Opening waits for it, and can be interrupted; nobody else does."""
        self.guest()
        pid, = self.mount.engines()
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        with subprocess.Popen(["cat", self.folder / "trace"], stderr=subprocess.DEVNULL) as cat:
            time.sleep(0.5)
            self.assertIsNone(cat.poll())
            self.assertEqual(os.listdir(self.mount.path / "guests"), ["vm"])
            cat.send_signal(signal.SIGINT)
            self.assertEqual(cat.wait(5), -signal.SIGINT)
        began = time.monotonic()
        self.fails(errno.EIO, os.open, self.folder / "trace", os.O_RDONLY)
        self.assertLess(time.monotonic() - began, 30)


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main()
