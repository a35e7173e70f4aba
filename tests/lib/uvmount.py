# SPDX-License-Identifier: GPL-2.0-or-later
"""Mounts in a scratch folder, for tests. Programs come from $UV_BUILD (a build folder;
default: build/ at the top of the sources); what is missing makes the test a skip (exit 77)."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import uvpace
import uvengine
import uvproto
from uvskip import skip

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("UV_BUILD", TOP / "build"))
UEFIVARSFS = BUILD / "fusefs" / "uefivarsfs"
UEFIVARSD = BUILD / "vars" / "uefivarsd"


def need(*tools):
    """Skips unless all of these are there: names in PATH, or paths."""
    for tool in tools:
        if not shutil.which(str(tool)):
            skip(f"no {tool}")


def need_mount():
    need(UEFIVARSFS, UEFIVARSD, "fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        skip("no /dev/fuse")


def can_connect(uid, path):
    """Whether that user, in no other group, may connect to the socket."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        with socket.socket(socket.AF_UNIX) as sock:
            os._exit(0 if sock.connect_ex(path) == 0 else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def wait_until(true, what, seconds=10, step=0.005):
    end = time.monotonic() + seconds
    extended = False
    while not true():
        if time.monotonic() > end and not extended:
            extended = True
            end += seconds * (uvpace.factor() - 1)
        elif time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(step)


def is_mount(path):
    """As os.path.ismount(), also of another host's root below /proc, which Python before 3.12 follows by name."""
    try:
        return path.lstat().st_dev != path.parent.lstat().st_dev
    except OSError:
        return False


def process_state(pid):
    """The letter of /proc/PID/stat; "" if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(pid):
    return process_state(pid) not in ("", "Z", "X")


def memory_kib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(rf"^{field}:\s+(\d+)", file.read(), re.M)[1])


def variable(name, data=b"", attributes=uvproto.NV_BS_RT, guid=uvproto.TEST):
    """One variable as a JSON store has it."""
    return {"name": name, "guid": guid, "attr": attributes, "data": data.hex()}


def store_text(*variables):
    return json.dumps({"version": 2, "variables": list(variables)})


class Scratch:
    """A folder below /tmp that is taken away at the end, with all that was started in it."""

    def __init__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="uefivars-"))
        self.path.chmod(0o755)
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stack.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def mount(self, source, *options, **kwargs):
        return self.stack.enter_context(Mount(self, source, *options, **kwargs))


class Mount:
    """uefivarsfs -f on SOURCE; `options` are those of -o. `wrapper` is put before the command. `host`
    (uvhosts.Host): in its namespaces."""

    def __init__(self, scratch, source, *options, name="mnt", wrapper=(), sockdir=True, host=None):
        self.source = source if str(source).startswith("libvirt") else pathlib.Path(source)
        self.place = scratch.path / name
        self.place.mkdir(exist_ok=True)
        self.path = pathlib.Path(host.path(self.place)) if host else self.place
        self.enter = host.enter if host else []
        self.sockdir = scratch.path / f"{name}.sock"
        self.options = list(options) + ([f"sockdir={self.sockdir}"] if sockdir else [])
        self.wrapper = self.enter + list(wrapper)
        self.log = scratch.path / f"{name}.log"
        self.process = None
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        pids = self.engines()
        with contextlib.suppress(Exception):
            self.stop()
        self.clear()
        for pid in pids:
            if alive(pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.check_log()

    def check_log(self):
        """Of an engine, too, whose end may be nothing to the test: a sanitizer found nothing."""
        text = self.log.read_text(errors="replace")
        found = re.search(r"ERROR: AddressSanitizer|: runtime error: ", text)
        if found:
            raise AssertionError(text[max(0, found.start() - 2000):found.start() + 6000])

    def start(self, seconds=20):
        """Starts (or starts again) and waits until the mount is usable."""
        command = self.wrapper + [str(UEFIVARSFS), str(self.source), str(self.place), "-f"]
        if self.options:
            command += ["-o", ",".join(self.options)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True,
                                            env=uvengine.environment())

        def ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"uefivarsfs ended with {self.process.returncode}: "
                                   f"{self.log.read_text()}")
            return is_mount(self.path)
        wait_until(ready, f"{self.path} is mounted", seconds)
        return self

    def stop(self, seconds=20):
        """A clean unmount; waits for the front's end and returns its exit status."""
        if self.process and self.process.poll() is None:
            subprocess.run(self.enter + ["umount", str(self.place)], check=True, timeout=seconds)
            return self.process.wait(seconds)
        return None

    def kill(self):
        """As a crash: the front is gone, the mount is cleared."""
        self.process.kill()
        self.process.wait()
        self.clear()

    def clear(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        subprocess.run(self.enter + ["umount", "-l", str(self.place)], stderr=subprocess.DEVNULL,
                       check=False)

    def guest(self, name):
        return self.path / "guests" / name

    def vars(self, name):
        return self.guest(name) / "vars"

    def socket(self, name, suffix=".sock"):
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        return str(self.sockdir / (digest + suffix))

    def status(self, name):
        return json.loads((self.guest(name) / "status.json").read_text())

    def child_called(self, name):
        """The one child of the monitor (mount.process) that is called so."""
        pid = self.process.pid
        (child,) = [int(word) for word in pathlib.Path(
            f"/proc/{pid}/task/{pid}/children").read_text().split()
                    if pathlib.Path(f"/proc/{word}/comm").read_text().startswith(name)]
        return child

    def front_pid(self):
        """Of the process that serves the mount."""
        return self.child_called("uefivarsfs")

    def broker_pid(self):
        """Of the process that knows SOURCE."""
        return self.child_called("uv-broker")

    def pids(self):
        return [self.process.pid, self.broker_pid(), self.front_pid()]

    def engines(self):
        """Process ids of engines that have a socket in the sockdir, the front's children or not."""
        out = []
        wanted = str(self.sockdir).encode()
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                if words[0].endswith(b"uefivarsd") and any(wanted in w for w in words):
                    if alive(int(entry)):
                        out.append(int(entry))
        return out

    def engine_pid(self, name):
        """0 without an engine."""
        wanted = self.socket(name).encode()
        for pid in self.engines():
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    if wanted in file.read():
                        return pid
        return 0

    def kill_engine(self, name):
        """SIGKILL to the guest's engine, which must be there or on its way."""
        seen = []
        wait_until(lambda: seen.append(self.engine_pid(name)) or seen[-1], f"an engine of {name}")
        os.kill(seen[-1], signal.SIGKILL)

    def read(self, guest, name, guid=uvproto.TEST):
        """(attributes, data) of a variable's file."""
        content = (self.vars(guest) / f"{name}-{guid}").read_bytes()
        return int.from_bytes(content[:4], "little"), content[4:]

    def write(self, guest, name, data, attributes=uvproto.NV_BS_RT, guid=uvproto.TEST):
        """One write(2); raises OSError."""
        fd = os.open(self.vars(guest) / f"{name}-{guid}", os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(fd, attributes.to_bytes(4, "little") + data)
        finally:
            os.close(fd)
