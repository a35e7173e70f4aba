# SPDX-License-Identifier: GPL-2.0-or-later
"""A libvirtd of an ordinary user's session, with folders of its own; nothing of the system's libvirt."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import threading
from xml.sax.saxutils import escape

import uvengine
from uvmount import wait_until
from uvskip import skip

USER = 65534
TOOLS = ("libvirtd", "virsh", "qemu-system-x86_64")


def need_libvirt(program):
    """Skips unless there are the tools, and uefivars-libvirt was built."""
    for tool in TOOLS:
        if not shutil.which(tool):
            skip(f"no {tool}")
    if not program.exists():
        skip("built without libvirt")


def domain(name, store="", kind="qemu", **more):
    """A domain's XML; `store` is what <os> has beside the machine's type."""
    firmware = more.get("firmware", " firmware='efi'")
    uuid = f"<uuid>{more['uuid']}</uuid>" if "uuid" in more else ""
    return (f"<domain type='{kind}'><name>{escape(name)}</name>{uuid}<memory unit='MiB'>32</memory>"
            f"<os{firmware}><type arch='x86_64' machine='q35'>hvm</type>{store}</os>"
            f"<features><acpi/></features><devices>{more.get('devices', '')}</devices></domain>")


def flash(code, nvram):
    """<os>'s part for a guest with two flash images."""
    return (f"<loader readonly='yes' type='pflash'>{escape(str(code))}</loader>"
            f"<nvram>{escape(str(nvram))}</nvram>")


class Daemon:
    """Started by start(), as nobody; `uri` is what root mounts."""

    connection = "qemu:///session"

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.process = None
        self.socket = self.folder / "run" / "libvirt" / "libvirt-sock"
        self.uri = f"libvirt+qemu:///session?socket={self.socket}"
        self.folder.mkdir()
        for name in ("home", "run", "conf", "cache", "nvram"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, USER, USER)
        self.nvram = self.folder / "nvram"

    def run(self, *words, **kwargs):
        names = {"HOME": "home", "XDG_RUNTIME_DIR": "run", "XDG_CONFIG_HOME": "conf",
                 "XDG_CACHE_HOME": "cache"}
        environment = {name: str(self.folder / folder) for name, folder in names.items()}
        return subprocess.Popen(list(map(str, words)), user=USER, group=USER, extra_groups=[],
                                env=dict(uvengine.environment(), LC_ALL="C.UTF-8", **environment),
                                stdin=subprocess.DEVNULL, **kwargs)

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = self.run("libvirtd", stdout=log, stderr=log)
        wait_until(self.answers, "libvirtd answers", 30, 0.1)
        # Root of a mount asks without a capability, as anybody.
        os.chmod(self.socket.parent, 0o755)
        os.chmod(self.socket, 0o777)

    def answers(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        return self.virsh("version", check=False)[0] == 0

    def stop(self):
        """The domains' QEMUs stay."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def clear(self):
        """No domains."""
        for name in self.virsh("list", "--all", "--name")[1].split("\n"):
            if name:
                self.virsh("destroy", "--domain", name, check=False)
                self.virsh("undefine", "--domain", name, "--nvram", "--managed-save", check=False)

    def close(self):
        if self.process and self.process.poll() is None:
            self.clear()
        self.stop()

    def virsh(self, *words, check=True):
        """(status, output); the output is also what was said of an error."""
        process = self.run("virsh", "-q", "-c", self.connection, *words, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
        output = process.communicate(timeout=60)[0]
        if check and process.returncode:
            raise RuntimeError(f"virsh {words}: {output}")
        return process.returncode, output

    def define(self, name, store="", **more):
        """Returns virsh's words if libvirt will not have such a domain, else None."""
        path = self.folder / "domain.xml"
        path.write_text(domain(name, store, **more))
        status, output = self.virsh("define", path, check=False)
        return output if status else None


class MadeUp:
    """The other end of fake-libvirt.c: a daemon of any version, that has what have() says."""

    def __init__(self, path):
        self.path = str(path)
        self.text = b"\n"
        self.lock = threading.Lock()
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen()
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                with self.lock:
                    self.connections.append(connection)
                    connection.sendall(self.text)

    def have(self, *domains):
        """These are all there are now: (number, name, XML[, has a managed save])."""
        lines = [f"11111111-1111-1111-1111-{number:012x} {name.encode().hex()} {xml.encode().hex()} "
                 f"{int(bool(saved))}\n" for number, name, xml, *saved in domains]
        with self.lock:
            self.text = "".join([*lines, "\n"]).encode()
            for connection in self.connections:
                with contextlib.suppress(OSError):
                    connection.sendall(self.text)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for connection in self.connections:
            connection.close()
