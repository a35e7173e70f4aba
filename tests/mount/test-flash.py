#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The NVRAM folder of a libvirt host: raw images, a qcow2 container and the 64 MiB of Arm, mounted as
they are, with a QEMU beside it."""

import contextlib
import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvflash  # noqa: E402
import uvmount  # noqa: E402
import uvproto  # noqa: E402
from uvmount import wait_until  # noqa: E402

STARTS = 100 if "--long" in sys.argv else 10
OVMF = pathlib.Path("/usr/share/OVMF")
ARM = pathlib.Path("/usr/share/AAVMF/AAVMF_VARS.ms.fd")


def qemu(path):
    """A QEMU that has its machine, and runs nothing; None if it would not start."""
    process = subprocess.Popen(
        ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-S", "-display", "none",
         "-nodefaults", "-m", "64", "-monitor", "stdio",
         "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={OVMF}/OVMF_CODE_4M.fd",
         "-drive", f"if=pflash,unit=1,format=raw,file={path}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdin.write("info status\n")
    process.stdin.flush()
    if any("VM status" in line for line in iter(process.stdout.readline, "")):
        return process
    print(process.communicate()[1])
    return None


def quit_qemu(process):
    process.stdin.write("quit\n")
    process.stdin.flush()
    process.communicate(timeout=20)


class Nvram(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "nvram"
        self.source.mkdir()
        shutil.copyfile(OVMF / "OVMF_VARS_4M.ms.fd", self.source / "web_VARS.fd")
        uvflash.small_image(self.source / "old.fd")
        self.image = self.source / "web_VARS.fd"

    def mount(self, *options):
        return self.scratch.mount(self.source, "idle=1", *options)

    def non_volatile(self, mount, guest):
        """{(name, guid): (attributes, data)} of what an image keeps."""
        variables = {}
        for path in mount.vars(guest).iterdir():
            content = path.read_bytes()
            if content[:1] and content[0] & 1:
                name, guid = path.name[:-37], path.name[-36:]
                variables[name, guid] = int.from_bytes(content[:4], "little"), content[4:].hex()
        return variables

    def check_image(self, mount, guest, path):
        """virt-fw-vars reads what the mount shows."""
        if not uvflash.have_virt_firmware():
            self.skipTest("python3-virt-firmware is not installed")
        shown = self.non_volatile(mount, guest)
        theirs = {key: (value[0], value[2]) for key, value in uvflash.virt_fw_vars(path).items()}
        self.assertEqual(shown, theirs)

    def check_bridge(self, mount):
        """The server of an image is the monitor's child: the engine starts nothing."""
        engine = mount.engine_pid("box")
        parents = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                name, _, rest = path.read_text().partition("(")[2].rpartition(")")
                parents.setdefault(int(rest.split()[1]), []).append((name, int(path.parent.name)))
        self.assertIn("uefivars-qcow2", [name for name, _ in parents[mount.process.pid]])
        self.assertEqual([name for name, _ in parents.get(engine, [])], ["uv-keeper"])

    def test_every_kind_is_a_guest(self):
        shutil.copyfile(ARM, self.source / "arm_VARS.fd")
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2",
                        OVMF / "OVMF_VARS_4M.ms.fd", self.source / "box_VARS.qcow2"], check=True)
        mount = self.mount()
        self.assertEqual(sorted(os.listdir(mount.path / "guests")), ["arm", "box", "old", "web"])
        for guest in ("arm", "box", "old", "web"):
            with self.subTest(guest):
                mount.write(guest, "Mine", b"1" * 100)
                mount.write(guest, "Mine", b"22")
                mount.write(guest, "Gone", b"x")
                (mount.vars(guest) / f"Gone-{uvproto.TEST}").unlink()
                self.assertEqual(mount.read(guest, "Mine"), (7, b"22"))
                self.assertIn('"qcow2"' if guest == "box" else '"flash"',
                              json.dumps(mount.status(guest)))
                if guest == "box":
                    self.check_bridge(mount)
        self.check_image(mount, "web", self.image)
        self.check_image(mount, "old", self.source / "old.fd")
        self.check_image(mount, "arm", self.source / "arm_VARS.fd")

    def test_reclaims_and_a_full_image(self):
        mount = self.mount()
        before = self.image.stat()
        for i in range(60):
            mount.write("web", "Large", bytes([i]) * 9000)
        number = 0
        with self.assertRaises(OSError) as caught:
            while True:
                mount.write("web", f"Fill{number}", b"f" * 20000)
                number += 1
        self.assertEqual(caught.exception.errno, errno.ENOSPC)
        self.assertGreater(number, 5)
        self.check_image(mount, "web", self.image)
        after = self.image.stat()
        self.assertEqual((before.st_mode, before.st_uid, before.st_size),
                         (after.st_mode, after.st_uid, after.st_size))

    def test_a_running_qemu(self):
        mount = self.mount()
        mount.write("web", "Before", b"1")
        wait_until(lambda: not mount.engine_pid("web"), "the engine has let go")
        process = qemu(self.image)
        self.assertIsNotNone(process)
        content = self.image.read_bytes()
        with self.assertRaises(OSError) as caught:
            mount.write("web", "During", b"2")
        self.assertEqual(caught.exception.errno, errno.EROFS)
        self.assertEqual(mount.read("web", "Before"), (7, b"1"))
        self.assertIn("lock byte 101", json.dumps(mount.status("web")))
        self.assertEqual(self.image.read_bytes(), content)
        quit_qemu(process)
        mount.write("web", "After", b"3")
        self.check_image(mount, "web", self.image)

    def test_looking_never_keeps_qemu_from_starting(self):
        mount = self.mount()
        looker = subprocess.Popen(
            ["sh", "-c", f"while :; do find {mount.path} -type f | xargs -d '\\n' cat; done"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            for i in range(STARTS):
                process = qemu(self.image)
                self.assertIsNotNone(process, f"start {i}")
                quit_qemu(process)
        finally:
            os.killpg(looker.pid, 9)
            looker.wait()

    def test_what_another_program_wrote_is_seen(self):
        mount = self.mount()
        self.assertTrue((mount.vars("web") / f"db-{uvproto.IMAGE_SECURITY}").exists())
        subprocess.run(["virt-fw-vars", "--inplace", self.image, "--set-true", "ShimVerbose"],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: any(name.startswith("ShimVerbose-")
                               for name in os.listdir(mount.vars("web"))),
                   "the new variable is there")

    def test_a_block_device(self):
        made = subprocess.run(["losetup", "-f", "--show", self.image], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if made.returncode != 0:
            self.skipTest("no loop devices here")
        device = made.stdout.strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", device], check=True)
        mount = self.scratch.mount(device, "idle=1")
        file = mount.path / f"Mine-{uvproto.TEST}"
        for i in range(60):
            file.write_bytes(b"\7\0\0\0" + bytes([i]) * 9000)
        self.assertEqual(file.read_bytes()[4:], bytes([59]) * 9000)
        mount.stop()
        if uvflash.have_virt_firmware():
            there = uvflash.virt_fw_vars(device)["Mine", uvproto.TEST]
            self.assertEqual(there[2], (bytes([59]) * 9000).hex())
        shutil.rmtree("/dev/.uefivarsfs", ignore_errors=True)

    def test_times_are_kept(self):
        mount = self.mount()
        mount.write("web", "Mine", b"1")
        path = mount.vars("web") / f"Mine-{uvproto.TEST}"
        os.utime(path, (1e9, 1e9))
        self.assertEqual(path.stat().st_mtime, 1e9)
        wait_until(lambda: not mount.engine_pid("web"), "the engine has ended")
        mount.stop()
        mount.start()
        self.assertEqual((mount.vars("web") / f"Mine-{uvproto.TEST}").stat().st_mtime, 1e9)

    def test_views(self):
        """All of the image for the host; for the guest what its OS sees at runtime."""
        mount = self.mount()
        names = {name[:-37] for name in os.listdir(mount.vars("web"))}
        # Which ones that is differs from one OVMF to the next.
        if uvflash.have_virt_firmware():
            self.assertLessEqual({name for name, _ in uvflash.virt_fw_vars(self.image)}, names)
        mount.stop()
        mount = self.scratch.mount(self.source, "idle=1", "view=guest", name="guest")
        names = {name[:-37] for name in os.listdir(mount.vars("web"))}
        self.assertNotIn("CustomMode", names)
        for name, guid in (("MTC", "eb704011-1402-11d3-8e77-00a0c969723b"),
                           ("certdb", "d9bee56e-75dc-49d9-b4d7-b534210f637a"),
                           ("VarErrorFlag", "04b37fe8-f6ae-480b-bdd5-37d98c5e89aa")):
            attributes = int.from_bytes((mount.vars("web") / f"{name}-{guid}").read_bytes()[:4],
                                        "little") if name in names else 0
            self.assertEqual(name in names, bool(attributes & 4), name)

    def test_a_guest_on_its_socket(self):
        mount = self.mount()
        os.listdir(mount.vars("old"))
        wait_until(lambda: os.path.exists(mount.socket("old")), "the guest's socket")
        guest = uvproto.Guest(mount.socket("old")).hello()
        self.assertEqual(guest.set("FromGuest", uvproto.TEST, 7, b"guest"), 0)
        self.assertEqual(mount.read("old", "FromGuest"), (7, b"guest"))
        mount.write("old", "FromHost", b"host")
        self.assertEqual(guest.get("FromHost", uvproto.TEST)[2], b"host")
        guest.bye()
        guest.close()
        self.check_image(mount, "old", self.source / "old.fd")

    def test_private_authenticated_variables(self):
        """Their signers are in certdb, which is in the image too."""
        uvmount.need("openssl", "cert-to-efi-sig-list", "sign-efi-sig-list")
        base = self.scratch.path
        subprocess.run(["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes",
                        "-subj", "/CN=private/", "-keyout", base / "k", "-out", base / "c"],
                       check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["cert-to-efi-sig-list", base / "c", base / "esl"], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["sign-efi-sig-list", "-g", uvproto.TEST, "-k", base / "k", "-c", base / "c",
                        "Private", base / "esl", base / "auth"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        mount = self.mount()
        mount.write("web", "Private", (base / "auth").read_bytes(), attributes=0x27)
        self.assertEqual(mount.read("web", "Private")[1], (base / "esl").read_bytes())
        certdb = mount.read("web", "certdb", guid="d9bee56e-75dc-49d9-b4d7-b534210f637a")[1]
        self.assertEqual(int.from_bytes(certdb[:4], "little"), len(certdb))
        self.assertIn("Private".encode("utf-16le"), certdb)
        self.check_image(mount, "web", self.image)


if __name__ == "__main__":
    uvmount.need_mount()
    uvmount.need("qemu-system-x86_64", "qemu-img")
    if not OVMF.exists() or not ARM.exists():
        uvmount.skip("ovmf or qemu-efi-aarch64 is not installed")
    unittest.main(argv=[a for a in sys.argv if a != "--long"])
