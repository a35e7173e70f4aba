# SPDX-License-Identifier: GPL-2.0-or-later
"""firmware/ of the mount and of guests: what is chosen, how stores are made from it, and when not."""

import errno
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvmount
import uvproto

RULES = uvmount.TOP / "tests" / "unit" / "descriptors" / "rules"
CONTENT = b"\7\0\0\0hello"
NAME = f"Greeting-{uvproto.TEST}"


def descriptor(mapping, features=(), machines=("pc-q35-*",)):
    return json.dumps({
        "description": "test", "interface-types": ["uefi"], "mapping": mapping,
        "targets": [{"architecture": "x86_64", "machines": list(machines)}],
        "features": list(features), "tags": []})


def names(folder):
    """What is listed, without the variables that every engine derives."""
    return sorted(name for name in os.listdir(folder) if not name.endswith(uvproto.GLOBAL))


class Firmware(unittest.TestCase):
    def setUp(self):
        self.scratch = uvmount.Scratch()
        self.addCleanup(self.scratch.__exit__)
        self.source = self.scratch.path / "source"
        self.source.mkdir()
        self.fw = self.scratch.path / "fw"
        self.fw.mkdir()

    def mount(self, *options):
        return self.scratch.mount(self.source, f"firmware={self.fw}", *options)

    def make_guest(self, mount, name, wish):
        mount.guest(name).mkdir()
        (mount.guest(name) / "config.json").write_text(json.dumps(wish))

    def write_flash_descriptors(self):
        vars_fd = pathlib.Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
        if not vars_fd.exists():
            self.skipTest("no OVMF images")
        code = {"filename": "/usr/share/OVMF/OVMF_CODE_4M.fd", "format": "raw"}
        self.fw.joinpath("50-split.json").write_text(descriptor(
            {"device": "flash", "executable": code,
             "nvram-template": {"filename": str(vars_fd), "format": "raw"}}))
        self.fw.joinpath("60-stateless.json").write_text(descriptor(
            {"device": "flash", "mode": "stateless", "executable": code}))
        self.fw.joinpath("70-host.json").write_text(descriptor(
            {"device": "memory", "filename": "/usr/share/OVMF/OVMF.fd"}, ["host-uefi-vars"]))
        return vars_fd

    def test_tree(self):
        images = self.scratch.path / "images"
        images.mkdir()
        for file in RULES.iterdir():
            text = file.read_text()
            (self.fw / file.name).write_text(text.replace("/fw/", f"{images}/"))
            for name, kind in re.findall(r'"/fw/([^"]*\.(json|raw|qcow2))"', text):
                (images / name).write_bytes(
                    {"json": b"{}", "raw": bytes(4096), "qcow2": b"QFI\xfb" + bytes(4092)}[kind])
        (self.fw / "99-broken.json").write_text('{"mapping": 5}')
        mount = self.mount()
        top = mount.path / "firmware"
        self.assertEqual(sorted(os.listdir(top)), ["default", "descriptors"])
        self.assertEqual(sorted(os.listdir(top / "descriptors")),
                         sorted(os.listdir(self.fw)))
        one = top / "descriptors" / "20-enrolled.json"
        self.assertEqual(os.readlink(one / "descriptor"), str(self.fw / "20-enrolled.json"))
        self.assertEqual((one / "device").read_text(), "flash\n")
        self.assertEqual(os.readlink(one / "executable"), f"{images}/enrolled_CODE.raw")
        self.assertEqual(os.listdir(top / "descriptors" / "99-broken.json"), ["why"])
        self.assertIn("99-broken.json:1: interface-types: missing",
                      (top / "descriptors" / "99-broken.json" / "why").read_text())
        link = top / "default" / "x86_64" / "uefi"
        self.assertEqual(os.readlink(link), "../../descriptors/20-enrolled.json")
        self.assertEqual((link / "mode").read_text(), "split\n")
        self.assertEqual(os.listdir(top / "default" / "aarch64"), ["uefi"])

    def test_new_descriptor_shows_at_once(self):
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35"})
        self.assertEqual(os.listdir(mount.guest("g") / "firmware"), ["why"])
        self.write_flash_descriptors()
        self.assertIn("50-split.json", os.listdir(mount.path / "firmware" / "descriptors"))
        self.assertIn("qemu.args", os.listdir(mount.guest("g") / "firmware"))

    def test_split_is_made_by_a_write_only(self):
        template = self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35", "mode": "split"})
        store = self.source / "g" / "vars.fd"
        firmware = mount.guest("g") / "firmware"
        self.assertEqual(os.readlink(firmware / "nvram"), str(store))
        self.assertEqual(names(mount.vars("g")), [])
        self.assertFalse(store.exists())
        (mount.vars("g") / NAME).write_bytes(CONTENT)
        self.assertTrue(store.exists())
        self.assertEqual(store.stat().st_size, template.stat().st_size)
        self.assertEqual((mount.vars("g") / NAME).read_bytes(), CONTENT)
        self.assertIn("pinned", (firmware / "why").read_text())
        # A descriptor that would win now does not change the firmware of a guest with state.
        (self.fw / "10-new.json").write_text(descriptor(
            {"device": "flash", "mode": "stateless",
             "executable": {"filename": "/new/CODE.fd", "format": "raw"}}))
        self.assertEqual((firmware / "mode").read_text(), "split\n")
        (self.source / "g" / ".uefivarsfs" / "vars.fd.pin").unlink()
        self.assertNotIn("pinned", (firmware / "why").read_text())

    def test_instantiate(self):
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35"})
        instantiate = mount.guest("g") / "firmware" / "instantiate"
        with self.assertRaises(OSError) as caught:
            instantiate.write_text("2\n")
        self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.assertFalse((self.source / "g" / "vars.fd").exists())
        instantiate.write_text("1\n")
        self.assertTrue((self.source / "g" / "vars.fd").exists())
        with self.assertRaises(OSError) as caught:
            instantiate.write_text("1\n")
        self.assertEqual(caught.exception.errno, errno.EEXIST)

    def test_many_at_once(self):
        """Each of many writes of 1 at a time would make the store: one does, and it is whole."""
        template = self.write_flash_descriptors()
        mount = self.mount()
        results = []

        def write(path):
            try:
                path.write_text("1\n")
                results.append(0)
            except OSError as error:
                results.append(error.errno)

        for i in range(5):
            self.make_guest(mount, f"g{i}", {"machine": "q35"})
            results.clear()
            threads = [threading.Thread(target=write, args=(
                mount.guest(f"g{i}") / "firmware" / "instantiate",)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(results.count(0), 1, results)
            self.assertEqual(set(results), {0, errno.EEXIST}, results)
            self.assertEqual((self.source / f"g{i}" / "vars.fd").read_bytes(),
                             template.read_bytes())
            self.assertEqual(sorted(os.listdir(self.source / f"g{i}" / ".uefivarsfs")),
                             ["vars.fd.pin"])

    def test_a_connection_makes_the_store(self):
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35", "features": {"host-uefi-vars": True}})
        store = self.source / "g" / "vars.json"
        self.assertFalse(store.exists())
        socket = os.readlink(mount.guest("g") / "mm.sock")
        with uvproto.Guest(socket) as guest:
            guest.hello()
            self.assertTrue(store.exists())

    def test_stateless_keeps_nothing(self):
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35", "mode": "stateless"})
        self.assertEqual(os.listdir(mount.vars("g")), [])
        with self.assertRaises(OSError) as caught:
            (mount.vars("g") / NAME).write_bytes(CONTENT)
        self.assertEqual(caught.exception.errno, errno.EROFS)
        self.assertEqual(sorted(os.listdir(self.source / "g")), ["config.json"])
        self.assertNotIn("nvram", os.listdir(mount.guest("g") / "firmware"))

    def test_store_of_another_firmware(self):
        """A 2 MiB firmware's store under a 4 MiB one, and the right one again."""
        template = self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35", "mode": "split"})
        firmware = mount.guest("g") / "firmware"
        whole = template.read_bytes()
        small = whole[:32] + (128 * 1024).to_bytes(8, "little") + whole[40:128 * 1024]
        (self.source / "g" / "vars.fd").write_bytes(small)
        self.assertRegex((firmware / "why").read_text(), r"^note: .*/g/vars\.fd is no store for this "
                         rf"firmware \(it has a volume of 131072 bytes, .*\b{len(whole)}\)")
        for name in ("qemu.args", "libvirt.xml", "nvram"):
            self.assertNotIn(name, os.listdir(firmware))
        os.truncate(self.source / "g" / "vars.fd", 0)
        os.truncate(self.source / "g" / "vars.fd", 64 << 20)  # as Debian's for Arm, before the first boot
        self.assertRegex((firmware / "why").read_text(), r"^note: .*it is an image of 67108864 bytes, "
                         rf"where the firmware's has {len(whole)}\)")
        self.assertNotIn("qemu.args", os.listdir(firmware))
        (self.source / "g" / "vars.fd").write_bytes(whole)
        self.assertNotIn("note: ", (firmware / "why").read_text())
        self.assertIn("qemu.args", os.listdir(firmware))

    def test_template_is_promised(self):
        """An enrolled-keys guest never gets an empty store (QEMU 11's member of the schema)."""
        template = self.scratch.path / "enrolled.json"
        (self.fw / "40-vars.json").write_text(descriptor(
            {"device": "memory", "filename": "/fw/CODE.fd", "uefi-vars": {"template": str(template)}},
            ["enrolled-keys", "host-uefi-vars", "secure-boot"]))
        mount = self.mount()
        self.make_guest(mount, "g", {"features": {"enrolled-keys": True}})
        why = mount.guest("g") / "firmware" / "why"
        self.assertIn(f"40-vars.json:1: the template {template}: No such file", why.read_text())
        with self.assertRaises(OSError):
            (mount.vars("g") / NAME).write_bytes(CONTENT)
        template.write_text(uvmount.store_text(uvmount.variable("Kept", b"x")))
        uvmount.wait_until(lambda: "taken" in why.read_text(), "the template to be seen")
        self.make_guest(mount, "h", {"features": {"enrolled-keys": True}})
        (mount.vars("h") / NAME).write_bytes(CONTENT)
        self.assertIn(f"Kept-{uvproto.TEST}", os.listdir(mount.vars("h")))

    def test_stateless_in_memory(self):
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"device": "memory", "mode": "stateless"})
        self.assertIn("uefi-vars-x64", (mount.guest("g") / "firmware" / "qemu.args").read_text())
        with self.assertRaises(OSError) as caught:
            (mount.vars("g") / NAME).write_bytes(CONTENT)
        self.assertEqual(caught.exception.errno, errno.EROFS)
        self.assertEqual(sorted(os.listdir(self.source / "g")), ["config.json"])

    def calls_of_a_listing(self, mount, firmware):
        """How often both processes look at files for one `ls -l`."""
        trace = self.scratch.path / "trace"
        attach = [word for pid in mount.pids() for word in ("-p", str(pid))]
        with subprocess.Popen(["strace", "-f", "-e", "trace=%file,%desc", "-o", trace, *attach],
                              stderr=subprocess.PIPE) as strace:
            for _ in mount.pids():
                strace.stderr.readline()  # it is attached
            done = subprocess.run(["ls", "-l", firmware], check=True, capture_output=True)
            strace.send_signal(signal.SIGINT)
        self.assertEqual(len(done.stdout.splitlines()), 1 + len(os.listdir(firmware)))
        self.assertIn("writev(", trace.read_text())  # else it was not traced
        return len(re.findall(r"^\d+ +(open\w*|\w*stat\w*|pread\w*|readlink\w*|getdents\w*|close)\(",
                              trace.read_text(), re.MULTILINE))

    def test_a_choice_is_kept(self):
        """The second `ls -l` looks once whether it still holds; a change shows at once."""
        uvmount.need("strace")
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35", "mode": "split"})
        firmware = mount.guest("g") / "firmware"
        (firmware / "instantiate").write_text("1\n")
        subprocess.run(["ls", "-l", firmware], check=True, capture_output=True)
        # The choice is looked at again once a second: a slow run meets that, not every one does.
        self.assertLessEqual(min(self.calls_of_a_listing(mount, firmware) for _ in range(4)), 40)
        config = self.source / "g" / "config.json"
        for mode, machine in (("stateless", "pc"), ("split", "q35"), ("stateless", "q35")):
            pin = self.source / "g" / ".uefivarsfs" / "vars.fd.pin"
            pin.unlink(missing_ok=True)
            config.write_text(json.dumps({"machine": "q35", "mode": mode}))
            self.assertEqual((firmware / "mode").read_text(), f"{mode}\n")
            (mount.guest("g") / "config.json").write_text(json.dumps({"machine": machine}))
            self.assertEqual("mode" in os.listdir(firmware), machine == "q35")
            self.assertEqual((firmware / "mode").exists(), machine == "q35")

    def test_nothing_satisfies(self):
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"architecture": "riscv64"})
        self.assertEqual(os.listdir(mount.guest("g") / "firmware"), ["why"])
        with self.assertRaises(OSError):
            (mount.vars("g") / NAME).write_bytes(CONTENT)
        self.assertEqual(sorted(os.listdir(self.source / "g")), ["config.json"])

    def test_config_is_checked(self):
        mount = self.mount()
        mount.guest("g").mkdir()
        config = mount.guest("g") / "config.json"
        config.write_text('{"machine": "q35"}')
        for wrong in ('{"mashine": "q35"}', '{"machine": 35}', '{"size": "big"}'):
            with self.subTest(wrong), self.assertRaises(OSError) as caught:
                config.write_text(wrong)
            self.assertEqual(caught.exception.errno, errno.EINVAL)
            self.assertEqual(json.loads(config.read_text()), {"machine": "q35"})
        self.assertIn("size", (mount.guest("g") / "status.json").read_text())

    def test_hostile_config(self):
        """Whoever may write it adds no argument to a command that root runs."""
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35"})
        firmware = mount.guest("g") / "firmware"
        for machine in ("pc-q35-9.0\n-netdev\ntap,script=/x", "q35,accel=tcg", "-monitor", "a b"):
            with self.subTest(machine):
                (self.source / "g" / "config.json").write_text(json.dumps({"machine": machine}))
                self.assertEqual(os.listdir(firmware), ["why"])
                self.assertIn("config.json:1: machine: expected a machine type",
                              (firmware / "why").read_text())

    def test_hostile_pin(self):
        """What a pin names is opened by nobody: here a FIFO, which nobody would ever answer."""
        self.write_flash_descriptors()
        mount = self.mount()
        self.make_guest(mount, "g", {"machine": "q35", "mode": "split"})
        (mount.guest("g") / "firmware" / "instantiate").write_text("1\n")
        fifo = self.scratch.path / "fifo"
        os.mkfifo(fifo)
        pin = self.source / "g" / ".uefivarsfs" / "vars.fd.pin"
        pin.write_text(pin.read_text().replace("/usr/share/OVMF/OVMF_CODE_4M.fd", str(fifo)))
        firmware = mount.guest("g") / "firmware"
        self.assertEqual(os.readlink(firmware / "executable"), str(fifo))
        self.assertIn("qemu.args", os.listdir(firmware))
        self.assertNotIn("pflash", os.listdir(firmware))
        text = json.loads(pin.read_text())
        text["machine"] = "q35\n-monitor\nnone"
        pin.write_text(json.dumps(text))
        self.assertIn("the pin can't be read and is ignored: pin:1: machine: expected",
                      (firmware / "why").read_text())

    def test_template(self):
        template = self.scratch.path / "templates" / "t.json"
        template.parent.mkdir()
        template.write_text(uvmount.store_text(uvmount.variable("Kept", b"x")))
        mount = self.mount(f"templates={template.parent}")
        self.make_guest(mount, "g", {"template": str(template)})
        (mount.vars("g") / NAME).write_bytes(CONTENT)
        self.assertEqual(names(mount.vars("g")), sorted([NAME, f"Kept-{uvproto.TEST}"]))
        self.make_guest(mount, "h", {"template": "/etc/passwd"})
        with self.assertRaises(OSError):
            (mount.vars("h") / NAME).write_bytes(CONTENT)
        self.assertIn("templates=", (mount.guest("h") / "status.json").read_text())

    def write_more_descriptors(self):
        """One of each kind that a distribution's files can be; the names of those that start here."""
        self.write_flash_descriptors()
        names_ = ["50-split", "60-stateless"]
        whole = pathlib.Path("/usr/share/ovmf/OVMF.fd")
        if whole.exists():
            self.fw.joinpath("80-combined.json").write_text(descriptor(
                {"device": "flash", "mode": "combined",
                 "executable": {"filename": str(whole), "format": "raw"}}))
            self.fw.joinpath("90-memory.json").write_text(descriptor(
                {"device": "memory", "filename": str(whole)}))
            names_ += ["80-combined", "90-memory"]
        self.fw.joinpath("95-igvm.json").write_text(descriptor(
            {"device": "igvm", "filename": "/fw/coco.igvm"}))
        return names_

    def start_qemu(self, arguments_file):
        """As people do it: xargs and the file."""
        with open(arguments_file) as arguments:
            return subprocess.run(
                ["timeout", "60", "xargs", "-d", "\\n", "sh", "-c",
                 "echo quit | exec qemu-system-x86_64 -display none -S -accel tcg -monitor stdio "
                 '"$@"', "sh"],
                stdin=arguments, capture_output=True, text=True, check=False)

    def test_arguments_start_qemu(self):
        uvmount.need("qemu-system-x86_64")
        started = self.write_more_descriptors()
        mount = self.mount()
        for name in started:
            with self.subTest(name):
                self.make_guest(mount, name, {"descriptor": f"{name}.json"})
                firmware = mount.guest(name) / "firmware"
                if "nvram" in os.listdir(firmware):
                    (firmware / "instantiate").write_text("1\n")
                for file in ("qemu.args", "qemu-legacy.args"):
                    if file in os.listdir(firmware):
                        done = self.start_qemu(firmware / file)
                        self.assertEqual(done.returncode, 0, done.stderr)

    def test_combined_is_a_private_copy(self):
        if "80-combined" not in self.write_more_descriptors():
            self.skipTest("no combined image is installed")
        mount = self.mount()
        self.make_guest(mount, "g", {"mode": "combined"})
        (mount.vars("g") / NAME).write_bytes(CONTENT)
        store = self.source / "g" / "vars.fd"
        original = pathlib.Path("/usr/share/ovmf/OVMF.fd")
        self.assertEqual(store.stat().st_size, original.stat().st_size)
        self.assertNotEqual(store.read_bytes(), original.read_bytes())
        self.assertIn(str(store), (mount.guest("g") / "firmware" / "qemu.args").read_text())

    def test_libvirt_xml(self):
        """Well-formed, and what libvirt's schema allows where that is installed."""
        uvmount.need("xmllint")
        self.write_more_descriptors()
        mount = self.mount()
        schema = pathlib.Path("/usr/share/libvirt/schemas/domain.rng")
        has_varstore = schema.exists() and "varstore" in (
            schema.with_name("domaincommon.rng").read_text())
        folders = mount.path / "firmware" / "descriptors"
        for xml in sorted(folders.glob("*/libvirt*.xml")):
            new = "<varstore" in xml.read_text() and not has_varstore
            check = ["--relaxng", str(schema)] if schema.exists() and not new else []
            with self.subTest(str(xml.relative_to(folders))):
                done = subprocess.run(["xmllint", "--noout"] + check + [str(xml)],
                                      capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    uvmount.need_mount()
    unittest.main(verbosity=2)
