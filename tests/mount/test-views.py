#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""boot/, secure-boot/ and next-boot/ of a mount, used as people use files."""

import ctypes
import errno
import itertools
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
import uvsign as s  # noqa: E402
from uvmount import wait_until  # noqa: E402

DB = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
GUIDS = {"PK": p.GLOBAL, "KEK": p.GLOBAL, "db": DB, "dbx": DB}
VIEWS = ("boot", "secure-boot", "next-boot")


def node(type_, subtype, payload):
    return struct.pack("<BBH", type_, subtype, 4 + len(payload)) + payload


def load_option(description, file, data=b"", attributes=1):
    path = node(4, 4, (file + "\0").encode("utf-16-le")) + node(0x7F, 0xFF, b"")
    return (struct.pack("<IH", attributes, len(path)) + (description + "\0").encode("utf-16-le") +
            path + data)


class ViewTest(unittest.TestCase):
    options = ()

    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.keys = self.scratch.path / "keys"
        self.keys.mkdir()
        self.fill()
        self.mount = self.scratch.mount(self.source, f"keys={self.keys}", *self.options)
        self.guest = self.mount.guest("vm")
        self.boot = self.guest / "boot"
        self.secure = self.guest / "secure-boot"
        self.next = self.guest / "next-boot"

    def fill(self):
        variables = [
            uvmount.variable("Boot0001", load_option("one", "\\EFI\\one.efi"), 7, p.GLOBAL),
            uvmount.variable("Boot0002", load_option("two", "\\EFI\\two.efi", b"\0data\xff"), 7,
                             p.GLOBAL),
            uvmount.variable("BootOrder", b"\2\0\1\0", 7, p.GLOBAL)]
        (self.source / "vm.json").write_text(uvmount.store_text(*variables))

    def fails(self, number, function, *arguments, **kwargs):
        with self.assertRaises(OSError) as caught:
            function(*arguments, **kwargs)
        self.assertEqual(errno.errorcode[caught.exception.errno], errno.errorcode[number])

    def refusal(self):
        """The reason of the last one."""
        return self.mount.status("vm")["last-refusal"]["text"]

    def shell(self, command, status=0):
        result = subprocess.run(["bash", "-c", command], cwd=self.guest, capture_output=True,
                                text=True)
        self.assertEqual(result.returncode, status, result.stderr + result.stdout)
        return result.stdout

    def variable(self, name, guid=p.GLOBAL):
        path = self.guest / "vars" / f"{name}-{guid}"
        return path.read_bytes()[4:] if path.exists() else None

    def order(self):
        return struct.unpack(f"<{len(self.variable('BootOrder')) // 2}H", self.variable("BootOrder"))


class Boot(ViewTest):
    def test_list(self):
        self.assertEqual(sorted(os.listdir(self.boot)), sorted(
            ["summary", "current", "order", "next", "timeout", "firmware-setup", "0001", "0002"]))
        self.assertEqual(sorted(os.listdir(self.boot / "0002")),
                         ["active", "data", "description", "hidden", "path"])
        for folder, folders, files in os.walk(self.boot):
            self.assertEqual(len(set(files)), len(files))
            for name in files:
                path = pathlib.Path(folder, name)
                self.assertEqual(path.stat().st_size, len(path.read_bytes()), path)
        self.assertLessEqual(set(VIEWS), set(os.listdir(self.guest)))
        self.fails(errno.ENOENT, os.stat, self.boot / "0003")
        self.fails(errno.ENOENT, os.stat, self.boot / "0001" / "nothing")

    def test_long_listing(self):
        for number in range(300):
            self.mount.write("vm", f"Boot{number + 0x100:04X}", load_option("x", "\\x"), 7, p.GLOBAL)
        names = os.listdir(self.boot)
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(len(names), 308)

    def test_what_people_do(self):
        self.shell("echo 0001 > boot/next")
        self.assertEqual(self.variable("BootNext"), b"\1\0")
        self.assertEqual(self.shell("grep -H . boot/next"), "boot/next:0001\n")
        self.shell("rm boot/next")
        self.assertIsNone(self.variable("BootNext"))
        self.assertEqual((self.boot / "next").read_text(), "")
        self.shell("printf '0001\\n0002\\n' > boot/order")
        self.assertEqual(self.order(), (1, 2))
        self.shell("(echo 0002; echo 0001) > boot/order")
        self.assertEqual(self.order(), (2, 1))
        self.shell("echo 0001 0002 | tee boot/order")
        self.assertEqual(self.order(), (1, 2))
        self.shell("echo 0001 > boot/order; echo 0002 >> boot/order")
        self.assertEqual(self.order(), (1, 2))
        self.shell("echo 300 > boot/timeout; echo 1 > boot/firmware-setup")
        self.assertEqual(self.variable("Timeout"), struct.pack("<H", 300))
        self.assertEqual(self.variable("OsIndications"), struct.pack("<Q", 1))
        self.shell(": > boot/timeout; cat /dev/null > boot/order; echo > boot/timeout")
        self.assertIsNone(self.variable("Timeout"))
        self.assertEqual(self.order(), (1, 2))

    def test_editors(self):
        self.shell("sed -i 's/one/first/' boot/0001/description")
        self.assertEqual((self.boot / "0001/description").read_text(), "first\n")
        self.shell("sed -i '1!G;h;$!d' boot/order")  # lines backwards
        self.assertEqual(self.order(), (1, 2))
        self.shell("printf '1m$\\nw\\nq\\n' | ed -s boot/order")
        self.assertEqual(self.order(), (2, 1))
        self.shell("cp boot/0001/description /tmp/$$ && cp /tmp/$$ boot/0002/description && rm /tmp/$$")
        self.assertEqual((self.boot / "0002/description").read_text(), "first\n")
        self.assertEqual(sorted(os.listdir(self.boot / "0001")),
                         ["active", "data", "description", "hidden", "path"])

    @unittest.skipUnless(shutil.which("vim"), "no vim")
    def test_vim(self):
        for file, edit, wanted in (("0001/description", "s/one/by vim/", "by vim\n"),
                                   ("order", "1m$", "0001\n0002\n"),
                                   ("next", "s/^$/0002/", "0002\n"),
                                   ("0002/path", "s/two/vim/", "File(\\EFI\\vim.efi)\n")):
            subprocess.run(["vim", "-u", "NONE", "-es", f"+{edit}", "+wq", self.boot / file],
                           check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
            self.assertEqual((self.boot / file).read_text(), wanted)

    def test_options(self):
        os.mkdir(self.boot / "0007")
        self.fails(errno.EEXIST, os.mkdir, self.boot / "0007")
        self.assertEqual((self.boot / "0007/active").read_text(), "0\n")
        self.shell("echo 'File(\\EFI\\7.efi)' > boot/0007/path")
        self.assertEqual((self.boot / "0007/active").read_text(), "1\n")
        self.assertIn("0007\t*\tBoot0007\tFile(\\EFI\\7.efi)", (self.boot / "summary").read_text())
        self.shell("head -c 1000 /dev/urandom > boot/0007/data")
        self.assertEqual(len(self.variable("Boot0007")) > 1000, True)
        self.shell("echo 7 > boot/order", 1)
        self.assertIn("7", self.refusal())
        self.shell("echo 0007 0001 > boot/order && rmdir boot/0007")
        self.assertEqual(self.order(), (1,))
        self.assertFalse((self.boot / "0007").exists())
        self.assertIsNone(self.variable("Boot0007"))
        self.fails(errno.EINVAL, os.mkdir, self.boot / "7")

    def test_rm_r(self):
        """The files go with their folder: until then nothing is changed, and none is left alone."""
        before = self.variable("Boot0001")
        os.unlink(self.boot / "0001/path")
        self.assertEqual(self.variable("Boot0001"), before)
        self.assertFalse((self.boot / "0001/path").exists())
        self.assertNotIn("path", os.listdir(self.boot / "0001"))
        self.assertIn("\tone\tFile(", (self.boot / "summary").read_text())
        self.shell("echo 'File(\\EFI\\new.efi)' > boot/0001/path")  # made anew by whoever
        self.assertEqual((self.boot / "0001/path").read_text(), "File(\\EFI\\new.efi)\n")
        os.unlink(self.boot / "0001/active")
        fd = os.open(self.boot / "0001/active", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(fd, b"0\n")
        os.close(fd)
        self.assertEqual((self.boot / "0001/active").read_text(), "0\n")
        self.shell("rm -r boot/0001")
        self.assertIsNone(self.variable("Boot0001"))
        self.assertEqual(self.order(), (2,))
        self.assertFalse((self.boot / "0001").exists())
        self.assertIsNotNone(self.variable("Boot0002"))
        os.mkdir(self.boot / "0001")
        self.assertEqual(len(os.listdir(self.boot / "0001")), 5)
        self.shell("rm -rf boot/000*")
        self.assertNotIn("0002", os.listdir(self.boot))

    def test_removed_and_forgotten(self):
        os.unlink(self.boot / "0001/data")
        time.sleep(10.5)
        self.assertEqual(len(os.listdir(self.boot / "0001")), 5)

    def test_tar_takes_nothing_away(self):
        """It unlinks what it is about to make."""
        before = {name: self.variable(name) for name in ("Boot0001", "Boot0002", "BootOrder")}
        tar = self.scratch.path / "tar"
        for what in ("boot", "boot vars"):
            self.shell(f"tar -cf {tar} {what} && tar -xf {tar}; ls boot/0001", 0)
            self.assertEqual({name: self.variable(name) for name in before}, before)

    def test_no_load_option(self):
        """It is told, it is no trouble for who copies, and it can be taken away."""
        store = self.source / "broken.json"
        store.write_text(uvmount.store_text(
            uvmount.variable("Boot0001", b"\1\0\0", 7, p.GLOBAL),
            uvmount.variable("Boot0002", bytes(range(200)) * 2, 7, p.GLOBAL),
            uvmount.variable("BootOrder", b"\2\0\1\0\7\0", 7, p.GLOBAL)))
        guest = self.mount.guest("broken")
        wait_until(guest.exists, "broken")
        lines = (guest / "boot/summary").read_text().splitlines()[3:]
        self.assertEqual(lines[0].split("\t")[0], "0002")
        self.assertEqual(lines[1:], ["0001\t-\t(not a load option)\thex:010000\t",
                                     "0007\t-\t(not there)\t\t"])
        subprocess.run(["cp", "-r", guest / "boot", self.scratch.path / "copy"], check=True)
        self.assertEqual(os.listdir(guest / "boot/0001"), [])
        self.fails(errno.EEXIST, os.mkdir, guest / "boot/0001")
        subprocess.run(["rm", "-r", guest / "boot/0001", guest / "boot/0002"], check=True)
        self.assertFalse((guest / "vars" / f"Boot0001-{p.GLOBAL}").exists())
        self.assertEqual((guest / "boot/order").read_text(), "0007\n")

    def test_large_data_in_pieces(self):
        """A copy that is larger than one write is one change, whatever its size."""
        for size in (8192, 65000):
            data = os.urandom(size)
            with open(self.boot / "0001/data", "wb", buffering=0) as file:
                for at in range(0, size, 4096):
                    file.write(data[at:at + 4096])
            self.assertEqual((self.boot / "0001/data").read_bytes(), data)
        with open(self.boot / "0001/data", "wb", buffering=0) as file:
            self.fails(errno.EFBIG, file.write, bytes(1024 * 1024))
        self.assertEqual((self.boot / "0001/data").read_bytes(), data)

    def test_refusals(self):
        before = (self.guest / "store.json").read_text()
        for file, text in (("next", "0009\n"), ("order", "0001 0009"), ("timeout", "x"),
                           ("0001/active", "yes"), ("0001/path", "Nonsense(")):
            self.fails(errno.EINVAL, (self.boot / file).write_text, text)
            self.assertTrue(self.refusal())
        for file in ("summary", "current"):
            self.fails(errno.EPERM, (self.boot / file).write_text, "x")
            self.assertIn(f"boot/{file}", self.refusal())
        self.fails(errno.EPERM, os.rename, self.boot / "next", self.boot / "order")
        self.assertEqual((self.guest / "store.json").read_text(), before)

    def test_the_other_door(self):
        """What vars/ or the guest changes shows at once."""
        self.assertEqual((self.boot / "0001/description").read_text(), "one\n")
        self.mount.write("vm", "Boot0001", load_option("other", "\\x"), 7, p.GLOBAL)
        self.assertEqual((self.boot / "0001/description").read_text(), "other\n")
        os.unlink(self.guest / "vars" / f"Boot0001-{p.GLOBAL}")
        self.assertFalse((self.boot / "0001").exists())
        self.assertNotIn("0001", os.listdir(self.boot))
        self.assertIn("0001", (self.boot / "order").read_text())

    def test_record(self):
        changes = self.guest / "changes"
        self.assertEqual(changes.read_text(), "")
        self.assertEqual(self.mount.engines(), [])
        self.shell("echo 0001 > boot/next; echo 1 > boot/timeout; echo 0009 > boot/next", 1)
        wait_until(lambda: len(changes.read_text().splitlines()) == 3, "two changes, a refusal")
        lines = [json.loads(line) for line in changes.read_text().splitlines()]
        self.assertEqual([line["door"] for line in lines], ["host"] * 3)
        self.assertEqual({line["who"]["uid"] for line in lines}, {os.getuid()})
        self.assertEqual({line["who"]["comm"] for line in lines}, {"bash"})
        self.assertEqual(lines[0]["variable"], f"BootNext-{p.GLOBAL}")
        self.assertEqual(changes.stat().st_size, len(changes.read_bytes()))
        self.fails(errno.EPERM, changes.write_text, "x")
        self.fails(errno.EPERM, os.unlink, changes)

    def test_record_is_followed(self):
        """By tail -f, and over the end of its older part; no engine is needed to read it."""
        changes = self.guest / "changes"
        with open(self.scratch.path / "tail", "w") as file:
            tail = subprocess.Popen(["tail", "-s", "0.1", "-f", changes], stdout=file,
                                    stderr=subprocess.DEVNULL)
        self.addCleanup(tail.wait)
        self.addCleanup(tail.kill)
        for seconds in range(3):
            self.shell(f"echo {seconds} > boot/timeout")
            wait_until(lambda: (self.scratch.path / "tail").read_text().count("\n") == seconds + 1,
                       "tail shows it")
        wait_until(lambda: not self.mount.engines(), "its engine ends", 20)
        self.assertEqual(changes.read_text().count("\n"), 3)
        self.assertEqual(self.mount.engines(), [])

    def test_folders_times(self):
        """They are told at once after an edit, and stay while what is in them is read: tar compares."""
        folders = [self.guest / name for name in (*VIEWS, "vars", ".")]

        def times():
            return [(one.stat().st_mtime_ns, one.stat().st_ctime_ns) for one in folders]
        before = times()
        self.shell("echo 1 > boot/timeout")
        after = times()
        for old, new in zip(before, after):
            self.assertLess(old[0], new[0])
        for folder in folders:
            os.listdir(folder)
        (self.boot / "summary").read_text()
        self.assertEqual(times(), after)

    def test_no_engine(self):
        """Listing a guest and looking at the folders starts none; a second look inside neither."""
        os.listdir(self.guest)
        for view in VIEWS:
            (self.guest / view).stat()
        self.assertEqual(self.mount.engines(), [])
        first = (self.secure / "summary").read_text(), (self.boot / "summary").read_text()
        wait_until(lambda: not self.mount.engines(), "its engine ends", 20)
        time.sleep(1.2)
        self.assertEqual(((self.secure / "summary").read_text(), (self.boot / "summary").read_text()),
                         first)
        self.assertEqual(self.mount.engines(), [])
        text = (self.source / "vm.json").read_text()
        (self.source / "vm.json").write_text(text.replace("6f006e006500", "6f006e003100"))
        time.sleep(0.3)
        self.assertIn("\ton1\t", (self.boot / "summary").read_text())


class Listing(ViewTest):
    def test_names_of_one_short_hash(self):
        """More than a reply holds, and a program chose them: each is listed, once."""
        names = {f"{''.join(pairs)}-{p.TEST}" for pairs in itertools.product(("Ez", "FY"), repeat=7)}
        for name in names:
            (self.next / "vars" / name).write_bytes(b"\7\0\0\0x")
        found = list(self.listed(self.next / "vars"))
        self.assertEqual(sorted(found), sorted(names))

    def listed(self, folder):
        """A few at a time."""
        getdents64, buffer = ctypes.CDLL(None).getdents64, ctypes.create_string_buffer(400)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        self.addCleanup(os.close, fd)
        while (size := getdents64(fd, buffer, len(buffer))) > 0:
            entries = buffer.raw[:size]
            while entries:
                _, _, length, _ = struct.unpack_from("<QqHB", entries)
                name = entries[19:length].split(b"\0", 1)[0].decode()
                entries = entries[length:]
                if name not in (".", ".."):
                    yield name
        self.assertEqual(size, 0)


class Off(ViewTest):
    options = ("views=off",)

    def test_off(self):
        self.assertFalse(set(VIEWS) & set(os.listdir(self.guest)))
        for view in VIEWS:
            self.fails(errno.ENOENT, os.stat, self.guest / view)


class Record(ViewTest):
    options = ("record=8192",)

    def test_bounded(self):
        changes = self.guest / "changes"
        for seconds in range(100):
            (self.boot / "timeout").write_text(f"{seconds}\n")
        wait_until(lambda: changes.read_text().splitlines()[-1:] and
                   json.loads(changes.read_text().splitlines()[-1]).get("old") == "6200",
                   "the last change")
        lines = [json.loads(line) for line in changes.read_text().splitlines()]
        self.assertLessEqual(len(changes.read_bytes()), 8192)
        self.assertGreater(len(lines), 8)
        times = [line["time"] for line in lines]
        self.assertEqual(times, sorted(times))
        self.assertEqual(len(set(times)), len(times))


class NoRecord(ViewTest):
    options = ("record=0",)

    def test_none(self):
        (self.boot / "timeout").write_text("1\n")
        self.assertEqual((self.guest / "changes").read_text(), "")
        self.assertFalse((self.source / ".uefivarsfs/vm.json.changes").exists())


class SecureBoot(ViewTest):
    @classmethod
    def setUpClass(cls):
        cls.pk, cls.kek, cls.db, cls.own = (s.Key(name) for name in
                                            ("Lost PK", "Test KEK", "Test db", "Own"))

    def fill(self):
        (self.source / "vm.json").write_text(uvmount.store_text())
        image = "/usr/share/OVMF/OVMF_VARS_4M.fd"
        if os.path.exists(image):
            shutil.copy(image, self.source / "flash_VARS.fd")
        own = self.keys / "own"
        for key in ("PK", "KEK", "db"):
            (own / key).mkdir(parents=True)
            (own / key / "own.crt").write_bytes(self.own.pem.read_bytes())
        (own / "README").write_text("not a key")
        (self.keys / "hashes" / "dbx").mkdir(parents=True)
        (self.keys / "hashes" / "dbx" / "two.txt").write_text("11" * 32 + "\n" + "22" * 32 + "\n")
        (self.keys / "store.json").write_text(uvmount.store_text(
            uvmount.variable("db", s.x509(self.db), 0x27, DB)))
        (self.keys / "nothing").mkdir()

    def summary(self):
        lines = (self.secure / "summary").read_text().splitlines()
        return [line.split(": ", 1) if ": " in line else [line, ""] for line in lines]

    def set_up_lost(self):
        for key, cert in (("db", self.db), ("KEK", self.kek), ("PK", self.pk)):
            self.shell(f"cat '{cert.pem}' > secure-boot/{key}/replace")
        self.assertIn(["mode", "user"], self.summary())

    def test_set_up_with_certificates(self):
        self.set_up_lost()
        names = os.listdir(self.secure / "PK")
        self.assertEqual(sorted(n.split(".")[0] for n in names if n.endswith(".crt")), ["Lost PK"])
        crt = next((self.secure / "db").glob("*.crt"))
        self.assertEqual(s.openssl("x509", "-in", crt, "-outform", "DER"), self.db.der)
        self.assertEqual((self.secure / "db/list.esl").read_bytes(), self.variable("db", DB))
        os.unlink(crt)
        self.assertIsNone(self.variable("db", DB))
        self.assertEqual((self.secure / "db/list.esl").read_bytes(), b"")

    def test_signed_update(self):
        self.set_up_lost()
        update = self.scratch.path / "DB.bin"
        update.write_bytes(s.write(self.kek, "db", DB, s.x509(self.own), 10, s.KEYS | 0x40))
        self.shell(f"cat {update} > secure-boot/db/append")
        self.assertIn("Own", " ".join(os.listdir(self.secure / "db")))
        before = self.variable("db", DB)
        self.shell(f"cat {update} > secure-boot/db/append")  # a second time
        self.assertEqual(self.variable("db", DB), before)
        self.shell(f"cat {update} > secure-boot/KEK/append", 1)
        self.assertTrue(self.refusal())

    def test_hashes(self):
        self.shell("(echo " + "33" * 32 + "; echo " + "44" * 32 + ") > secure-boot/dbx/append")
        self.assertEqual((self.secure / "dbx/hashes").read_text(),
                         f"sha256 {'33' * 32}\nsha256 {'44' * 32}\n")
        self.assertIn(["dbx-hashes", "2"], self.summary())

    def test_large_update(self):
        """Page by page, as programs with small buffers write."""
        lines = "".join(f"{number:064x}\n" for number in range(64 * 4))
        self.assertEqual(len(lines) % 4096, 4160 * 4 % 4096)
        with open(self.secure / "dbx/append", "wb", buffering=0) as file:
            data = lines.encode()
            for at in range(0, len(data), 4096):
                file.write(data[at:at + 4096])
        self.assertEqual(len((self.secure / "dbx/hashes").read_text().splitlines()), 256)
        record = (self.source / ".uefivarsfs" / "vm.json.changes").read_text()
        self.assertEqual(len(record.splitlines()), 1, record)

    def enroll_image(self):
        """A flash image is a profile, too; also where most of it is room, as in Arm's of 64 MiB."""
        image = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.ms.fd")
        if not image.exists():
            return
        for name, rest in (("ms", 0), ("large", 60 << 20)):
            (self.keys / f"{name}.fd").write_bytes(image.read_bytes() + bytes(rest))
            self.assertIn(f"{name}\n", (self.secure / "enroll").read_text())
            self.shell("echo own > secure-boot/enroll")
            self.shell(f"echo {name} > secure-boot/enroll")
            text = (self.secure / "summary").read_text()
            self.assertRegex(text, "(?m)^KEK: .*Microsoft")
            self.assertRegex(text, "(?m)^db: .*Microsoft")
            (self.keys / f"{name}.fd").unlink()
        (self.keys / "bad.fd").write_bytes(bytes(range(256)) * 4096)
        self.shell("echo bad > secure-boot/enroll", 1)
        self.assertIn("bad.fd", self.refusal())
        (self.keys / "bad.fd").unlink()

    def test_enroll(self):
        self.assertEqual((self.secure / "enroll").read_text().split(),
                         ["hashes", "nothing", "own", "store"])
        self.set_up_lost()
        self.shell("echo own > secure-boot/enroll")
        for key in ("PK", "KEK", "db"):
            names = [n for n in os.listdir(self.secure / key) if n.endswith(".crt")]
            self.assertEqual([n.split(".")[0] for n in names], ["Own"])
        self.assertIn(["mode", "user"], self.summary())
        self.shell("echo hashes > secure-boot/enroll")
        self.assertIn(["dbx-hashes", "2"], self.summary())
        self.enroll_image()
        self.shell("echo store > secure-boot/enroll")
        self.assertIn("Test db", " ".join(os.listdir(self.secure / "db")))
        for name in ("other", "../own", "nothing", ""):
            self.shell(f"echo '{name}' > secure-boot/enroll", 1)
            self.assertIn(str(self.keys), self.refusal())
        self.assertIn('"door":"owner"', (self.source / ".uefivarsfs/vm.json.changes").read_text())

    def test_flash(self):
        if not (self.source / "flash_VARS.fd").exists():
            self.skipTest("no OVMF image")
        self.guest = self.mount.guest("flash")
        self.secure = self.guest / "secure-boot"
        self.set_up_lost()
        self.shell("echo own > secure-boot/enroll")
        self.assertIn("Own", " ".join(os.listdir(self.secure / "PK")))

    def test_disabled(self):
        self.set_up_lost()
        (self.guest / "config.json").write_text('{"disable-custom-mode": true}')
        wait_until(lambda: not self.mount.engines(), "its engine ends", 20)
        self.shell("echo own > secure-boot/enroll", 1)
        self.assertIn("custom", self.refusal())

    def test_next_boot(self):
        update = self.scratch.path / "update"
        update.write_bytes(self.own.pem.read_bytes())
        self.assertEqual(sorted(os.listdir(self.next)), ["results", "secure-boot", "vars"])
        self.assertEqual(os.listdir(self.next / "secure-boot"), [])
        self.assertEqual(os.listdir(self.next / "secure-boot/KEK"), [])
        self.shell(f"cat {update} > next-boot/secure-boot/db/append")
        self.assertEqual(os.listdir(self.next / "secure-boot"), ["db"])
        self.shell("echo own > next-boot/secure-boot/enroll")
        self.shell(f"printf '\\7\\0\\0\\0x' > next-boot/vars/New-{p.TEST}")
        self.assertEqual(os.listdir(self.next / "secure-boot/db"), ["append"])
        self.assertEqual((self.next / "secure-boot/db/append").read_bytes(), update.read_bytes())
        self.assertIn(f"New-{p.TEST}", os.listdir(self.next / "vars"))
        self.shell(f"cat {update} > next-boot/secure-boot/db/append")
        self.assertEqual(sorted(os.listdir(self.next / "secure-boot/db")), ["append", "append~2"])
        self.shell("rm next-boot/secure-boot/db/append~2 next-boot/secure-boot/enroll")
        self.assertEqual(os.listdir(self.next / "secure-boot/db"), ["append"])
        self.shell("echo nonsense > next-boot/secure-boot/KEK/append", 1)
        self.assertTrue(self.refusal())
        self.mount.stop()
        self.mount.start()
        self.assertEqual(os.listdir(self.next / "secure-boot/db"), ["append"])
        self.assertIsNone(self.variable("db", DB))
        device = p.Guest(self.mount.socket("vm"))
        self.addCleanup(device.close)
        device.hello()
        self.assertIn("db", (self.next / "results").read_text())
        self.assertEqual(os.listdir(self.next / "secure-boot/db"), [])
        self.assertIsNotNone(self.variable("db", DB))
        self.assertIsNotNone(self.variable("New", p.TEST))
        # While it runs keys change unsigned at its next reset only.
        self.shell("echo own > secure-boot/enroll", 1)
        self.shell("echo own > next-boot/secure-boot/enroll")
        self.assertIsNone(self.variable("PK"))
        device.request(p.RESET)
        self.assertIn("Own", " ".join(os.listdir(self.secure / "PK")))
        self.assertEqual((self.next / "results").read_text().count("enroll"), 1)

    def test_restore_is_quiet(self):
        """rsync of a backup onto the same guest says nothing and changes nothing; what a backup has
        otherwise is not taken from the views, and not with an error either."""
        if not shutil.which("rsync"):
            self.skipTest("no rsync")
        self.set_up_lost()
        backup = self.scratch.path / "backup"

        def rsync(*arguments):
            done = subprocess.run(["rsync", "-a", *arguments], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stderr
        rsync(f"{self.guest}/", f"{backup}/")
        before = self.variable("db", DB)
        for view in VIEWS:
            self.assertEqual(rsync("--ignore-times", f"{backup}/{view}/", f"{self.guest}/{view}/"), "")
        self.assertEqual(self.variable("db", DB), before)
        self.shell("cat " + str(self.own.pem) + " > secure-boot/db/replace")
        changed, listed = self.variable("db", DB), os.listdir(self.secure / "db")
        # With a certificate that the guest has no more.
        self.assertEqual(rsync(f"{backup}/secure-boot/", f"{self.guest}/secure-boot/"), "")
        self.assertEqual(os.listdir(self.secure / "db"), listed)
        self.assertEqual(self.variable("db", DB), changed)


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("ed", "openssl")
    unittest.main(verbosity=1)
