# SPDX-License-Identifier: GPL-2.0-or-later
"""Start and stop uefivarsd for tests: stand-alone, or as uefivarsfs spawns it.

    with Engine(folder) as engine:
        guest = engine.guest().hello()

The program is the environment's UEFIVARSD, else the one in UV_BUILD, else in build/.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import uvproto


def program():
    here = os.path.dirname(os.path.abspath(__file__))
    build = os.environ.get("UV_BUILD", os.path.join(here, "../../build"))
    return os.environ.get("UEFIVARSD", os.path.join(build, "vars/uefivarsd"))


def sanitized():
    """True if the engine is built with ASAN: limits and seccomp are off then."""
    with open(program(), "rb") as file:
        return b"__asan_init" in file.read()


def selftest_program():
    """The same engine, with the self-test that the installed one does not have."""
    return os.environ["UV_SELFTEST"]


def listener(path, mode=0o600):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(path)
    os.chmod(path, mode)
    sock.listen(64)
    return sock


def environment():
    """Without a search for leaks at exit, which needs what confinement forbids."""
    options = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    return dict(os.environ, ASAN_OPTIONS=options.lstrip(":"))


class Engine:
    """One engine, with `store`, `socket`, `host_socket` and `session` in `folder`."""

    def __init__(self, folder, *options, store="vars.json", spawned=False, user=None, name="mm",
                 stderr=None, start=True, wrapper=(), executable=None, blockd=None, given=None, store_listener=None):
        self.folder = str(folder)
        self.store = os.path.join(self.folder, store)
        self.socket = os.path.join(self.folder, name + ".sock")
        self.host_socket = os.path.join(self.folder, name + ".host")
        self.session = self.socket + ".session"
        self.options = list(options)
        self.spawned = spawned
        self.user = user
        self.stderr = stderr
        self.wrapper = list(wrapper)
        self.program = executable or program()
        self.blockd = blockd  # spawned: a descriptor to inherit as the eighth
        self.store_listener = store_listener  # spawned: a descriptor to inherit as the ninth
        self.given = given  # spawned: the store, opened, to inherit as the seventh
        self.process = None
        self.listeners = None
        if spawned:
            self.listeners = (listener(self.socket), listener(self.host_socket))
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stop()
        self.close_listeners()

    def close_listeners(self):
        for sock in self.listeners or ():
            sock.close()
        self.listeners = None

    def arguments(self):
        if not self.spawned:
            return self.wrapper + [self.program, "--store", self.store, "--socket", self.socket,
                    "--host-socket", self.host_socket] + self.options
        out = [self.program, "--spawned", "--store", os.path.basename(self.store),
               "--socket", self.socket]
        if self.user:
            out += ["--user", self.user]
        return out + self.options

    def start(self, wait=True):
        if self.spawned:
            self._spawn()
        else:
            self.process = subprocess.Popen(self.arguments(), stderr=self.stderr,
                                            stdin=subprocess.DEVNULL, env=environment())
        if wait:
            self.wait_ready()
        return self

    def _spawn(self):
        fds = [os.open(os.path.dirname(self.store), os.O_PATH | os.O_DIRECTORY),
               self.listeners[0].fileno(), self.listeners[1].fileno(),
               os.open(self.session, os.O_RDWR | os.O_CREAT, 0o600)]
        high = [os.dup2(fd, 200 + i, inheritable=True) for i, fd in enumerate(fds)]

        place = 'exec "$@" 3<&200 4<&201 5<&202 6<&203'
        if self.given is not None:
            high.append(os.dup2(self.given, 205, inheritable=True))
            place += " 7<&205"
        if self.blockd is not None:
            high.append(os.dup2(self.blockd, 204, inheritable=True))
            place += " 8<&204"
        if self.store_listener is not None:
            high.append(os.dup2(self.store_listener, 206, inheritable=True))
            place += " 9<&206"
        place += "".join(f" {fd}<&-" for fd in high)
        self.process = subprocess.Popen(["bash", "-c", place, "engine"] + self.arguments(),
                                        stderr=self.stderr, stdin=subprocess.DEVNULL,
                                        pass_fds=high, env=environment())
        for fd in high + [fds[0], fds[3]]:
            os.close(fd)

    def wait_ready(self, timeout=10):
        """Until the sockets answer; a spawned engine's do from the start."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the engine ended with {self.process.returncode}")
            try:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                sock.connect(self.host_socket)
                with uvproto.Host(sock) as host:
                    host.hello()
                    return
            except (FileNotFoundError, ConnectionRefusedError, uvproto.Closed):
                sock.close()
                time.sleep(0.005)
        raise RuntimeError("the engine does not answer")

    def guest(self, timeout=10):
        return uvproto.Guest(self.socket, timeout)

    def host(self, timeout=10):
        host = uvproto.Host(self.host_socket, timeout)
        host.hello()
        return host

    def kill(self, signum=signal.SIGKILL):
        self.process.send_signal(signum)
        return self.process.wait(10)

    def stop(self):
        """SIGTERM; the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                print("the engine does not end", file=sys.stderr)
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class EngineTest(unittest.TestCase):
    """A scratch folder (on a disk, for the journal's sake), engines that are stopped at the end."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="uvengine-", dir=os.environ.get("UV_SCRATCH"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def engine(self, *options, **named):
        named.setdefault("stderr", subprocess.DEVNULL)
        engine = Engine(named.pop("folder", self.folder), *options, **named)
        self.addCleanup(engine.__exit__)
        return engine

    def guest(self, engine, *args, **named):
        """A guest that has said HELLO."""
        guest = engine.guest(named.pop("timeout", 10))
        self.addCleanup(guest.close)
        return guest.hello(*args, **named)

    def raw_guest(self, engine, timeout=10):
        guest = engine.guest(timeout)
        self.addCleanup(guest.close)
        return guest

    def host(self, engine, timeout=10):
        host = engine.host(timeout)
        self.addCleanup(host.close)
        return host

    def assert_status(self, status, wanted):
        self.assertEqual(uvproto.status_name(status), uvproto.status_name(wanted))

    def assert_error(self, code, call, *args):
        with self.assertRaises(uvproto.ErrorFrame) as caught:
            call(*args)
        self.assertEqual(caught.exception.code, code, caught.exception.text)
        return caught.exception.text
