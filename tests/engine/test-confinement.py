#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What an engine can't do, what it needs, and how it starts and ends."""

import errno
import json
import os
import pathlib
import re
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
import uvflash  # noqa: E402
import uvmount  # noqa: E402
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402

MANUAL = pathlib.Path(__file__).resolve().parents[2] / "man/uefivarsd.8"
USER = 65534
ROOT = os.geteuid() == 0
WITHOUT = os.environ.get("UV_WITHOUT")  # "without CALL PROGRAM...": runs it as on a kernel without


def status_of(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def syscalls(role):
    out = subprocess.run([uvengine.program(), "--print-syscalls"], capture_output=True, text=True,
                         check=True).stdout
    return [line.split()[1] for line in out.splitlines() if line.startswith(role + " ")]


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


class Confinement(EngineTest):
    def other_store(self):
        """Another guest's, of the same owner, in the same folder."""
        path = os.path.join(self.folder, "other.json")
        with open(path, "w") as file:
            file.write('{"version": 2, "variables": []}')
        return path

    def check_selftest(self, engine):
        other = self.other_store()
        results = self.host(engine).selftest(other)
        self.assertEqual(set(results), {"open /etc/passwd", "open store", "openat", "connect",
                                        "fork", "ptrace", "execve", "F_SETOWN", "F_SETOWN_EX",
                                        "F_SETSIG", "F_NOTIFY", "fchmod 4755"})
        for attempt, result in results.items():
            self.assertTrue(result.startswith("denied: "), (attempt, result))
        # It goes on all the same.
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        time.sleep(2.3)  # a compaction
        guest.bye()
        with open(engine.store) as file:
            self.assertIn("A", [v["name"] for v in json.load(file)["variables"]])

    def test_stand_alone(self):
        if uvengine.sanitized():
            self.skipTest("built with a sanitizer")
        self.check_selftest(self.engine("--sandbox=strict",
                                        executable=uvengine.selftest_program()))

    def test_the_installed_program_has_no_selftest(self):
        host = self.host(self.engine())
        self.assert_error(p.E_UNKNOWN_TYPE, host.selftest, "/etc/passwd")

    @unittest.skipUnless(ROOT, "needs root to become another user")
    def test_spawned(self):
        if uvengine.sanitized():
            self.skipTest("built with a sanitizer")
        os.chmod(self.folder, 0o777)
        engine = self.engine("--sandbox=strict", spawned=True, user=f"{USER}:{USER}",
                             executable=uvengine.selftest_program())
        self.check_selftest(engine)
        status = status_of(engine.process.pid)
        self.assertEqual(status["Uid"].split(), [str(USER)] * 4)
        self.assertEqual(status["Gid"].split(), [str(USER)] * 4)
        self.assertEqual(status["Groups"].strip(), "")
        self.assertEqual(int(status["CapEff"], 16), 0)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(os.getsid(engine.process.pid), engine.process.pid)
        self.assertEqual(os.stat(engine.store).st_uid, USER)
        keeper = status_of(children(engine.process.pid)[0])
        self.assertEqual(keeper["Name"], "uv-keeper")
        self.assertEqual(keeper["Uid"].split(), [str(USER)] * 4)
        self.assertEqual(keeper["Seccomp"], "2")

    @unittest.skipUnless(ROOT, "needs root to become another user")
    def test_what_a_taken_over_engine_can_leave_behind(self):
        """Its keeper sets no journals aside without end, and they don't grow afterwards."""
        if uvengine.sanitized():
            self.skipTest("built with a sanitizer")
        os.chmod(self.folder, 0o777)
        engine = self.engine("--sandbox=strict", spawned=True, user=f"{USER}:{USER}",
                             executable=uvengine.selftest_program())
        said = self.host(engine).selftest("keeper")
        self.assertEqual(said, {"set aside": f"16, then {os.strerror(errno.EDQUOT)}"})
        engine.kill()
        sizes = {path.name: path.stat().st_size
                 for path in pathlib.Path(self.folder).glob(".uefivarsfs/*conflict*")}
        self.assertEqual(len(sizes), 16)
        self.assertLessEqual(sum(sizes.values()), 64 << 20, sizes)

    def check_capabilities(self, engine, uid):
        for pid in [engine.process.pid] + children(engine.process.pid):
            status = status_of(pid)
            self.assertEqual(status["Uid"].split(), [str(uid)] * 4)
            for which in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[which], 16), 0, (status["Name"], which))
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        time.sleep(2.3)  # a compaction
        guest.bye()
        with open(engine.store) as file:
            self.assertIn("A", [v["name"] for v in json.load(file)["variables"]])
        status = os.stat(engine.store)
        self.assertEqual((status.st_uid, status.st_gid), (uid, uid))

    @unittest.skipUnless(ROOT, "needs root")
    def test_roots_engine_has_no_capabilities(self):
        for name, named in (("alone", {}), ("spawned", {"spawned": True, "user": "0:0"})):
            self.check_capabilities(self.engine(name=name, store=name + ".json", **named), 0)

    @unittest.skipUnless(ROOT, "needs root to become another user")
    def test_root_alone_becomes_the_stores_owner(self):
        os.chmod(self.folder, 0o755)
        store = self.other_store()
        os.chown(store, USER, USER)
        os.chmod(store, 0o600)
        self.check_capabilities(self.engine(store="other.json"), USER)
        os.mkdir(os.path.join(self.folder, "theirs"))
        os.chown(os.path.join(self.folder, "theirs"), USER, USER)
        self.check_capabilities(self.engine(name="new", store="theirs/new.json"), USER)

    def test_limits_and_descriptors(self):
        if uvengine.sanitized():
            self.skipTest("built with a sanitizer")
        with open("/dev/null") as leak:
            os.set_inheritable(leak.fileno(), True)
            engine = self.engine()
        with open(f"/proc/{engine.process.pid}/limits") as file:
            limits = {line[:26].strip(): line[26:].split() for line in file}
        self.assertEqual(limits["Max core file size"][0], "0")
        self.assertEqual(limits["Max open files"][0], "128")
        self.assertLessEqual(int(limits["Max data size"][0]), 384 << 20)
        self.assertLessEqual(int(limits["Max file size"][0]), 256 << 20)
        for number in os.listdir(f"/proc/{engine.process.pid}/fd"):
            try:
                target = os.readlink(f"/proc/{engine.process.pid}/fd/{number}")
            except FileNotFoundError:
                continue  # closed since it was listed
            if int(number) > 2 and target.startswith("/"):
                self.assertIn(target, (engine.session, engine.store))

    def test_status_says_it(self):
        status = self.host(self.engine()).status()["engine"]
        if uvengine.sanitized():
            self.assertIn("seccomp: built with a sanitizer", status["confinement-missing"])
            return
        self.assertEqual(status["confinement-missing"], [])
        self.assertIn("seccomp", status["confinement"])
        self.assertIn("no_new_privs", status["confinement"])

    @unittest.skipUnless(WITHOUT, "needs the program `without`")
    def test_a_kernel_that_lacks_something(self):
        program = uvengine.program()
        for call, name in (("landlock_create_ruleset", "landlock"), ("seccomp", "seccomp")):
            if uvengine.sanitized() and name == "seccomp":
                continue
            engine = self.engine(name=name, wrapper=[WITHOUT, call])
            status = self.host(engine).status()["engine"]
            self.assertTrue([m for m in status["confinement-missing"] if m.startswith(name)],
                            status)
            engine.stop()
            done = subprocess.run([WITHOUT, call, program, "--store", engine.store, "--socket",
                                   engine.socket, "--sandbox=strict"], capture_output=True,
                                  text=True, timeout=20, env=uvengine.environment())
            self.assertEqual(done.returncode, 1)
            self.assertIn("sandbox=strict", done.stderr)

    @unittest.skipUnless(ROOT, "needs root to become another user")
    def test_a_folder_that_is_not_the_owners(self):
        os.chmod(self.folder, 0o755)
        store = self.other_store()
        os.chown(store, USER, USER)
        engine = self.engine(spawned=True, user=f"{USER}:{USER}", store="other.json")
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        guest.bye()
        engine.stop()
        with open(store) as file:
            self.assertIn("A", [v["name"] for v in json.load(file)["variables"]])
        self.assertEqual(os.stat(store).st_uid, USER)
        sidecars = os.stat(os.path.join(self.folder, ".uefivarsfs"))
        self.assertEqual((sidecars.st_uid, sidecars.st_mode & 0o777), (USER, 0o700))

    def test_manual_lists_the_system_calls(self):
        text = MANUAL.read_text()
        for role, title in (("engine", "System calls of the engine"),
                            ("keeper", "System calls of the keeper"),
                            ("fcntl", "Commands of fcntl"),
                            ("qcow2", "System calls that the server of a qcow2 image may not make")):
            listed = re.search(rf"\.Ss {title}\n\.Bd [^\n]*\n(.*?)\n\.Ed", text,
                               re.S).group(1).split()
            self.assertEqual(sorted(listed), sorted(syscalls(role)))

    def test_system_calls_in_operation(self):
        """Under strace: nothing that is made is refused, and no call is on the list that neither
        this run nor the manual accounts for."""
        if uvengine.sanitized() or not shutil.which("strace"):
            self.skipTest("needs strace and a plain build")
        trace = os.path.join(self.folder, "trace")
        wrapper = os.path.join(self.folder, "traced")
        with open(wrapper, "w") as file:
            file.write(f'#!/bin/sh\nexec strace -f -o {trace} {uvengine.program()} "$@"\n')
        os.chmod(wrapper, 0o755)
        before = os.environ.get("UEFIVARSD")
        os.environ["UEFIVARSD"] = wrapper
        try:
            engine = self.engine()
        finally:
            os.environ.pop("UEFIVARSD")
            if before:
                os.environ["UEFIVARSD"] = before
        self.operate(engine)
        calls, refused, confined = {}, [], set()
        for line in open(trace, errors="replace"):
            found = re.match(r"(\d+) +(\w+)\((.*)", line)
            if not found:
                continue
            pid, name, rest = found.groups()
            if pid in confined:
                calls.setdefault(pid, set()).add(name)
                if "EPERM" in rest:
                    refused.append(line.strip())
            elif name == "seccomp" and "SECCOMP_SET_MODE_FILTER, 0" in rest and "{len=" in rest:
                confined.add(pid)
        self.assertEqual(refused, [])
        self.assertEqual(len(calls), 2, "the engine and its keeper")
        for made in calls.values():
            role = "engine" if "accept4" in made else "keeper"
            self.assertLessEqual(made, set(syscalls(role)))
            if role == "engine":
                missing = set(syscalls(role)) - made
                # What the manual explains, and what memory and other libraries ask for.
                self.assertLessEqual(missing, {
                    "clock_nanosleep", "sendto", "fallocate", "ppoll", "restart_syscall",
                    "lseek", "fstat", "clock_gettime", "mmap", "munmap",
                    "mremap", "madvise", "brk", "fchown", "fsetxattr", "fgetxattr", "fremovexattr",
                    "futex", "getrandom", "newfstatat"})

    def operate(self, engine):
        guest = self.guest(engine)
        for i in range(20):
            guest.set(f"V{i}", p.TEST, p.NV_BS_RT, os.urandom(100 * i + 1))
        guest.set("Vol", p.TEST, p.BS_RT, b"x")
        host = self.host(engine)
        host.snapshot()
        host.set_variable("H", p.TEST, data=b"x")
        host.touch(f"H-{p.TEST}", 10 ** 18)
        host.status(), host.check(), host.listener().close()
        time.sleep(2.3)
        guest.load(guest.save())
        guest.save(release=True)
        guest.acquire()
        guest.set("After", p.TEST, p.NV_BS_RT, b"x")
        guest.exit_boot_services()
        guest.bye()
        host.import_(host.export())
        self.assertTrue(host.end())
        engine.process.wait(10)


class Starting(EngineTest):
    def run_engine(self, *arguments):
        return subprocess.run([uvengine.program(), *arguments], capture_output=True, text=True,
                              timeout=20, env=uvengine.environment())

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_options(self):
        self.assertEqual(self.run_engine("--version").returncode, 0)
        self.assertIn("--store", self.run_engine("--help").stdout)
        for arguments in ((), ("--store", "x"), ("--socket", "x"), ("--bad",), ("extra",),
                          ("--store", "x", "--socket", "y", "--size", "4095"),
                          ("--store", "x", "--socket", "y", "--size", "9000000"),
                          ("--store", "x", "--socket", "y", "--sandbox=maybe"),
                          ("--store", "x", "--socket", "y", "--varcheck=perhaps")):
            done = self.run_engine(*arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_a_store_that_is_none(self):
        with open(self.path("bad.json"), "w") as file:
            file.write('{"version": 2,\n "variables": [\n  {"name": 7}]}')
        before = os.stat(self.path("bad.json"))
        done = self.run_engine("--store", self.path("bad.json"), "--socket", self.path("s"))
        self.assertEqual(done.returncode, 1)
        lines = [line for line in done.stderr.splitlines() if "not confined" not in line]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertRegex(lines[0], r"bad\.json.*3:")
        after = os.stat(self.path("bad.json"))
        self.assertEqual((before.st_ino, before.st_size, before.st_mtime_ns, before.st_ctime_ns),
                         (after.st_ino, after.st_size, after.st_mtime_ns, after.st_ctime_ns))

    def test_paths_that_are_not_there(self):
        for store, sock in (("no/where.json", "s"), ("x.json", "no/where"), ("x.json", "s" * 200)):
            done = self.run_engine("--store", self.path(store), "--socket", self.path(sock))
            self.assertEqual(done.returncode, 1)
            self.assertIn(self.folder, done.stderr)

    def test_signals_that_end_no_engine(self):
        """SIGIO comes when another program opens a store that the engine has a lease on for a moment."""
        for name, make in (("vars.json", lambda path: None), ("vars.fd", uvflash.small_image)):
            make(self.path(name))
            engine = self.engine(store=name)
            ignored = int(status_of(engine.process.pid)["SigIgn"], 16)
            for number in (signal.SIGIO, signal.SIGPIPE, signal.SIGXFSZ):
                self.assertTrue(ignored >> (number - 1) & 1, (name, number))
            engine.stop()

    def test_a_socket_in_use(self):
        engine = self.engine()
        done = self.run_engine("--store", self.path("x.json"), "--socket", engine.socket)
        self.assertEqual(done.returncode, 1)
        self.assertIn(engine.socket, done.stderr)
        engine.kill()
        engine.start()  # a stale one is replaced

    def test_store_that_was_swapped(self):
        """Who the engine is was decided by the file that was opened: another is not served."""
        other = os.path.join(self.folder, "other.json")
        for name in ("vars.json", "other.json"):
            with open(os.path.join(self.folder, name), "w", encoding="ascii") as file:
                file.write('{"version": 2, "variables": []}')
        for name, path in (("other", other), ("none", "/dev/null"), ("same", self.path("vars.json"))):
            with self.subTest(given=path), open(path, "rb") as given:
                engine = uvengine.Engine(self.folder, spawned=True, start=False, name=name,
                                         given=given.fileno(), stderr=subprocess.DEVNULL)
                self.addCleanup(engine.__exit__)
                engine.start(wait=False)
                with p.Host(engine.host_socket) as host:
                    if name == "same":
                        host.hello()
                    else:
                        self.assertIn("not the file any more", self.assert_error(p.E_CHANGED, host.hello))

    def test_spawned_failure_is_told_to_the_front(self):
        with open(self.path("vars.json"), "w") as file:
            file.write("garbage")
        engine = uvengine.Engine(self.folder, spawned=True, start=False, stderr=subprocess.DEVNULL)
        self.addCleanup(engine.__exit__)
        engine.start(wait=False)
        with p.Host(engine.host_socket) as host:
            text = self.assert_error(p.E_STORE, host.hello)
        self.assertIn("vars.json", text)
        self.assertEqual(engine.process.wait(10), 1)

    def test_read_only(self):
        text = '{"version": 2, "variables": []}'
        with open(self.path("vars.json"), "w") as file:
            file.write(text)
        engine = self.engine("--read-only", spawned=True)
        host = self.host(engine)
        self.assert_status(host.set_variable("A", p.TEST, data=b"1").status, p.WRITE_PROTECTED)
        self.assertTrue(host.status()["store"]["read-only"])
        self.assertTrue(host.snapshot()["state"] & p.HOST_STATE_READ_ONLY)
        guest = self.guest(engine)
        self.assertEqual(guest.info["state"], p.STATE_READ_ONLY)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.WRITE_PROTECTED)
        self.assert_status(guest.set("V", p.TEST, p.BS_RT, b"1"), p.SUCCESS)
        guest.save()
        self.assertEqual(engine.stop(), 0)
        with open(engine.store) as file:
            self.assertEqual(file.read(), text)
        self.assertFalse(os.path.exists(self.path(".uefivarsfs")))

    def test_daemon(self):
        sock = self.path("d.sock")
        host_path = self.path("d.host")
        done = self.run_engine("--store", self.path("vars.json"), "--socket", sock,
                               "--host-socket", host_path, "--daemon")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        with p.Host(host_path) as host:
            pid = host.hello()["pid"]
            with p.Guest(sock) as guest:
                guest.hello()
                self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
                guest.bye()
            self.assertTrue(host.end())
        end = time.monotonic() + 10
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            time.sleep(0.01)
        done = self.run_engine("--store", self.folder, "--socket", sock, "--daemon")
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.folder, done.stderr)

    def test_tells_a_service_manager(self):
        address = self.path("notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(10)
            engine = subprocess.Popen(
                [uvengine.program(), "--store", self.path("n.json"), "--socket",
                 self.path("n.sock")], stderr=subprocess.DEVNULL,
                env=dict(uvengine.environment(), NOTIFY_SOCKET=address))
            self.assertEqual(manager.recv(100), b"READY=1")
            with p.Guest(self.path("n.sock")) as guest:
                guest.hello()
            engine.terminate()
            self.assertEqual(engine.wait(10), 0)

    def test_relative_paths(self):
        done = subprocess.Popen([uvengine.program(), "--store", "r.json", "--socket", "r.sock",
                                 "--host-socket", "r.host"], cwd=self.folder,
                                stderr=subprocess.DEVNULL, env=uvengine.environment())
        end = time.monotonic() + 10
        while not os.path.exists(self.path("r.host")) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.05)
        with p.Host(self.path("r.host")) as host:
            host.hello()
            self.assertTrue(host.set_variable("A", p.TEST, data=b"1").ok)
        done.send_signal(signal.SIGINT)
        self.assertEqual(done.wait(10), 0)
        self.assertTrue(stat.S_ISREG(os.stat(self.path("r.json")).st_mode))


class Ending(EngineTest):
    def test_sigterm_leaves_a_complete_store(self):
        engine = self.engine()
        guest = self.guest(engine)
        for i in range(50):
            guest.set(f"V{i}", p.TEST, p.NV_BS_RT, b"x")
        self.assertEqual(engine.stop(), 0)
        with open(engine.store) as file:
            names = [v["name"] for v in json.load(file)["variables"]]
        self.assertEqual(len([n for n in names if n.startswith("V") and n[1:].isdigit()]), 50)
        self.assertFalse(os.path.exists(os.path.join(self.folder, ".uefivarsfs/vars.json.journal")))

    def test_spawned_and_alone_it_ends(self):
        engine = self.engine(spawned=True)
        host = self.host(engine)
        self.assertTrue(host.set_variable("A", p.TEST, data=b"1").ok)
        guest = self.guest(engine)
        host.close()
        time.sleep(11)
        guest.get("A", p.TEST)  # a guest keeps it
        guest.bye()
        start = time.monotonic()
        self.assertEqual(engine.process.wait(15), 0)
        self.assertAlmostEqual(time.monotonic() - start, 10, delta=1.5)

    def test_it_ends_with_its_keeper(self):
        """It could not begin a journal any more: a successor can, and the session goes on."""
        path = os.path.join(self.folder, "log")
        with open(path, "wb") as log:
            engine = self.engine(stderr=log)
        guest = self.guest(engine)
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"1"), p.SUCCESS)
        self.assert_status(guest.set("V", p.TEST, p.BS_RT, b"volatile"), p.SUCCESS)
        os.kill(children(engine.process.pid)[0], signal.SIGKILL)
        self.assertEqual(engine.process.wait(5), 1)
        with open(path) as log:
            self.assertIn("keeps the store's folder is gone", log.read())
        engine.stderr = None
        engine.start()
        guest = self.guest(engine, guest.session, flags=p.HELLO_RESUME)
        self.assertEqual(guest.get("A", p.TEST)[2], b"1")
        self.assertEqual(guest.get("V", p.TEST)[2], b"volatile")
        self.assert_status(guest.set("A", p.TEST, p.NV_BS_RT, b"2"), p.SUCCESS)

    def test_its_keeper_ends_with_it(self):
        engine = self.engine()
        keepers = children(engine.process.pid)
        self.assertEqual(len(keepers), 1)
        engine.kill()
        end = time.monotonic() + 5
        while uvmount.alive(keepers[0]) and time.monotonic() < end:
            time.sleep(0.01)
        self.assertFalse(uvmount.alive(keepers[0]))


class Log(EngineTest):
    def test_refusals_are_limited_and_say_the_rule(self):
        path = os.path.join(self.folder, "log")
        with open(path, "wb") as log:
            engine = self.engine(stderr=log)
        guest = self.guest(engine, name="evil\n\x1b[31mname")
        secret = b"SECRETDATA" * 3
        for _ in range(500):
            self.assert_status(guest.set("SecureBoot\n\x1b[1m", p.GLOBAL, p.AT | p.NV_BS_RT, secret),
                               p.SECURITY_VIOLATION)
        engine.stop()
        text = open(path, "rb").read()
        self.assertNotIn(b"\x1b", text)
        self.assertNotIn(b"SECRET", text)
        refused = [line for line in text.splitlines() if b"refused" in line]
        self.assertLess(len(refused), 15)
        self.assertRegex(refused[0], rb"SecureBoot.*guest.*0x8[0-9a-f]+.*rule \d\.\d")


if __name__ == "__main__":
    unittest.main()
