#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The RPM spec of examples/packaging: it is parsed and, with --build, builds; and its way around QEMU's
file, as rpm runs it in a root of its own: QEMU installed before it, upgraded under it, and left behind."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

TOP = pathlib.Path(__file__).resolve().parents[2]
SPEC = TOP / "examples" / "packaging" / "uefivarsfs.spec"
# What the rpm of another distribution has no macros for.
MACROS = """
%_unitdir /usr/lib/systemd/system
%_sysusersdir /usr/lib/sysusers.d
%_tmpfilesdir /usr/lib/tmpfiles.d
%meson meson setup --prefix=/usr --libdir=%{_libdir} --libexecdir=%{_libexecdir} --sysconfdir=/etc build
%meson_build ninja -C build
%meson_install DESTDIR=%{buildroot} meson install -C build --no-rebuild
%systemd_post() %{nil}
%systemd_preun() %{nil}
%sysusers_create_compat() %{nil}
%debug_package %{nil}
"""
MODULE = "uefivarsfs' hw-uefi-vars.so"


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], text=True, capture_output=True,
                          check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command[0]}: {done.returncode}\n{done.stdout}\n{done.stderr}"[-4000:])
    return done.stdout


def section(spec, header):
    """A section of an expanded spec, with its header."""
    found = re.search(rf"^{re.escape(header)}\n.*?(?=^%|\Z)", spec, re.M | re.S)
    assert found, header
    return found[0]


class Rpm(unittest.TestCase):
    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="uefivars-rpm-"))
        self.addCleanup(shutil.rmtree, self.work)
        # What the system's rpm has comes first, and what it lacks after.
        macros = self.work / "macros"
        macros.write_text(MACROS)
        places = run("rpm", "--eval", "%{?_usrlibrpm}%{!?_usrlibrpm:/usr/lib/rpm}").strip()
        self.options = ["--macros", f"{macros}:{places}/macros:{places}/platform/%{{_target}}/macros",
                        "--define", f"_topdir {self.work}/build",
                        "--define", f"_tmppath {self.work}"]

    def expanded(self, *options):
        return run("rpmspec", *self.options, "-P", *options, SPEC)


class Spec(Rpm):
    def test_parsed(self):
        plain = self.expanded()
        self.assertIn("%files libvirt", plain)
        self.assertNotIn("uefivars-qemu", plain)
        with_qemu = self.expanded("--with", "qemu", "--define", "qemu_source /nowhere")
        self.assertIn("%triggerin -n uefivars-qemu", with_qemu)
        self.assertNotIn("%{", re.sub(r"%\{VERSION\}", "", with_qemu))

    def test_version(self):
        version = re.search(r"^\s*version: '([^']+)'", (TOP / "meson.build").read_text(), re.M)[1]
        self.assertIn(f"Version:        {version}\n", SPEC.read_text())

    @unittest.skipUnless("--build" in sys.argv, "only with --build")
    def test_built(self):
        sources = self.work / "build" / "SOURCES"
        sources.mkdir(parents=True)
        version = re.search(r"^Version:\s*(\S+)", SPEC.read_text(), re.M)[1]
        run("git", "-C", TOP, "archive", f"--prefix=uefivarsfs-{version}/", "-o",
            sources / f"uefivarsfs-{version}.tar.gz", "HEAD")
        run("rpmbuild", *self.options, "-bb", "--nodeps", SPEC)
        built = {path.name.split("-0")[0]: path
                 for path in (self.work / "build" / "RPMS").glob("*/*.rpm")}
        self.assertEqual(sorted(built), ["uefivarsfs", "uefivarsfs-libvirt"])
        files = run("rpm", "-qlp", built["uefivarsfs"]).splitlines()
        for name in ("/uefivarsfs", "/uefivarsd", "/uefivars-make", "/uefivars-folders",
                     "/uefivarsfs-libvirt@.service", "/uefivarsfs.8"):
            self.assertTrue([f for f in files if name in f], name)


class Relink(Rpm):
    """Where QEMU's file is, after each step of rpm's."""

    def setUp(self):
        super().setUp()
        self.real = self.expanded("--with", "qemu", "--define", "qemu_source /nowhere")
        self.folder = re.search(r"^cd (/\S+/qemu) ", self.real, re.M)[1]
        self.root = self.work / "root"
        (self.root / "bin").mkdir(parents=True)
        busybox = self.root / "bin" / "busybox"
        shutil.copy(shutil.which("busybox"), busybox)
        for name in ("sh", "grep", "mv", "cp", "cat", "rm"):
            (self.root / "bin" / name).symlink_to("busybox")
        self.modules = self.root / self.folder.lstrip("/")

    def package(self, name, version, files, scripts=""):
        """A package with these files ({path: text}); built anew each time."""
        install = ""
        for path, text in files.items():
            install += f"mkdir -p %{{buildroot}}{os.path.dirname(path)}\n"
            install += f"cat > %{{buildroot}}{path} <<'END'\n{text}\nEND\nchmod 755 %{{buildroot}}{path}\n"
        spec = self.work / f"{name}.spec"
        spec.write_text(f"Name: {name}\nVersion: {version}\nRelease: 1\nSummary: a stand-in\n"
                        f"License: none\nBuildArch: noarch\nAutoReqProv: no\n%description\nOne.\n"
                        f"%install\n{install}\n{scripts}\n%files\n" + "\n".join(files) + "\n")
        run("rpmbuild", "--define", f"_topdir {self.work}/build", "-bb", "--nodeps", spec)
        return self.work / "build" / "RPMS" / "noarch" / f"{name}-{version}-1.noarch.rpm"

    def qemu(self, version):
        return self.package("qemu-system-x86-core", version,
                            {f"{self.folder}/hw-uefi-vars.so": f"QEMU {version}"})

    def ours(self, version):
        again = re.search(r"^(/\S+/build-again.sh) ", self.real, re.M)[1]
        scripts = (section(self.real, "%triggerin -n uefivars-qemu -- qemu-system-x86-core") +
                   section(self.real, "%preun -n uefivars-qemu")).replace(" -n uefivars-qemu", "")
        return self.package("uefivars-qemu", version, {
            f"{self.folder}/hw-uefi-vars-choose.so": f"{MODULE} {version}",
            f"{self.folder}/hw-uefi-vars-engine.so": f"engine {version}",
            again: "#!/bin/sh\necho again >>/again.log"}, scripts)

    def rpm(self, *words):
        debian = ["--force-debian"] if os.path.exists("/etc/debian_version") else []
        run("rpm", "--root", self.root, *debian, "--nodeps", "--nosignature", *words)

    def check(self, **expected):
        found = {name: (self.modules / f"hw-uefi-vars{suffix}.so").read_text().strip()
                 for name, suffix in (("used", ""), ("stock", "-qemu"))
                 if (self.modules / f"hw-uefi-vars{suffix}.so").exists()}
        self.assertEqual(found, expected)

    def test_life(self):
        self.rpm("-U", self.qemu(1))
        self.check(used="QEMU 1")
        self.rpm("-U", self.ours(1))
        self.check(used=f"{MODULE} 1", stock="QEMU 1")
        self.rpm("-U", self.qemu(2))
        self.check(used=f"{MODULE} 1", stock="QEMU 2")
        self.rpm("-U", self.ours(2))
        self.check(used=f"{MODULE} 2", stock="QEMU 2")
        self.assertEqual((self.root / "again.log").read_text(), "again\n" * 3)
        self.rpm("-e", "uefivars-qemu")
        self.check(used="QEMU 2")

    def test_qemu_comes_later(self):
        self.rpm("-U", self.ours(1))
        self.check()
        self.rpm("-U", self.qemu(1))
        self.check(used=f"{MODULE} 1", stock="QEMU 1")


del Rpm

if __name__ == "__main__":
    for tool in ("rpm", "rpmbuild", "rpmspec", "busybox", "git"):
        if not shutil.which(tool):
            print(f"skipped: no {tool}")
            sys.exit(77)
    if os.getuid() != 0:
        print("skipped: rpm needs root for a root of its own")
        sys.exit(77)
    unittest.main(argv=[word for word in sys.argv if word != "--build"])
