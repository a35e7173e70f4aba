#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sessions: what outlives an engine's death, what does not, and who gets in afterwards."""

import json
import os
import pathlib
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import uvproto as p  # noqa: E402
from uvengine import EngineTest  # noqa: E402

LONG = bool(os.environ.get("UV_LONG"))


class Session(EngineTest):
    def setUp(self):
        super().setUp()
        self.e = self.engine()

    def restart(self):
        self.e.kill()
        self.e.start()

    def resume(self, guest, flags=p.HELLO_RESUME):
        return self.guest(self.e, session=guest.session, flags=flags)

    def boot(self, guest):
        """As a firmware boots: variables, a policy, the events."""
        self.assert_status(guest.set("BootOnly", p.TEST, p.NV_BS, b"boot"), p.SUCCESS)
        self.assert_status(guest.set("Vol", p.TEST, p.BS_RT, b"volatile"), p.SUCCESS)
        self.assert_status(guest.set("Locked", p.TEST, p.NV_BS_RT, b"l"), p.SUCCESS)
        self.assert_status(guest.register_policy("Locked", p.TEST, lock=1), p.SUCCESS)
        for event in (guest.end_of_dxe, guest.ready_to_boot, guest.exit_boot_services):
            self.assertEqual(event()[0], p.DEVICE_SUCCESS)

    def check_runtime(self, guest):
        """What must be so past ExitBootServices, whoever was killed."""
        self.assert_status(guest.get("BootOnly", p.TEST)[0], p.NOT_FOUND)
        self.assertEqual(guest.get("Vol", p.TEST)[2], b"volatile")
        self.assert_status(guest.set("Locked", p.TEST, p.NV_BS_RT, b"x"), p.WRITE_PROTECTED)
        self.assertNotEqual(guest.set("CustomMode", p.CUSTOM_MODE, p.NV_BS, b"\1"), p.SUCCESS)
        self.assertNotEqual(guest.register_policy("More", p.TEST), p.SUCCESS)

    def check_host_bound(self, host):
        for name, attributes in ((f"Locked-{p.TEST}", p.NV_BS_RT), (f"BootOnly-{p.TEST}", p.NV_BS),
                                 (f"CustomMode-{p.CUSTOM_MODE}", p.NV_BS)):
            outcome = host.set(name, attributes.to_bytes(4, "little") + b"\1")
            self.assertFalse(outcome.ok, name)

    def put_store(self, *variables):
        """Another program replaces the store: by a file without keys, or with these."""
        path = os.path.join(self.folder, "new.json")
        with open(path, "w") as file:
            json.dump({"version": 2, "variables": [
                {"name": name, "guid": guid, "attr": attributes, "data": data.hex()}
                for name, guid, attributes, data in variables]}, file)
        os.rename(path, self.e.store)

    def test_store_replaced_under_a_guest(self):
        """What the OS booted with stays so, also over an engine's death; the next boot starts from
        what there is then."""
        self.e.stop()
        self.put_store(("PK", p.GLOBAL, p.NV_BS_RT_AT, bytes(60)),
                       ("SecureBootEnable", p.SECURE_BOOT_ENABLE, p.NV_BS, b"\1"))
        self.e.start()
        guest = self.guest(self.e)
        self.boot(guest)
        self.put_store(("Other", p.TEST, p.NV_BS_RT, b"other"))
        for i in range(2):
            self.assertEqual(guest.get("SecureBoot")[2], b"\1")
            entries = self.host(self.e).snapshot()["entries"]
            self.assertEqual(entries[f"SecureBoot-{p.GLOBAL}"][0][4:], b"\1")
            if i == 0:
                self.assert_status(guest.set("B", p.TEST, p.NV_BS_RT, b"b"), p.WRITE_PROTECTED)
                self.restart()
                guest = self.resume(guest)
        self.put_store(("Third", p.TEST, p.NV_BS_RT, b"third"))
        guest.reset()
        self.assertEqual(guest.get("SecureBoot")[2], b"\0")
        self.assertEqual(guest.get("Third", p.TEST)[2], b"third")
        self.assert_status(guest.get("Other", p.TEST)[0], p.NOT_FOUND)
        self.assert_status(guest.set("B", p.TEST, p.NV_BS_RT, b"b"), p.SUCCESS)

    def test_fifty_deaths_past_exit_boot_services(self):
        guest = self.guest(self.e)
        self.boot(guest)
        for i in range(50):
            self.restart()
            guest = self.resume(guest)
            self.check_runtime(guest)
            self.assert_status(guest.set("Count", p.TEST, p.NV_BS_RT, bytes([i])), p.SUCCESS)
            host = self.host(self.e)
            self.check_host_bound(host)
            host.close()
        host = self.host(self.e)
        self.assertTrue(host.status()["session"]["resumed"])
        guest.bye()
        for name in ("Locked", "BootOnly"):
            outcome = host.set_variable(name, p.TEST, p.NV_BS, b"h") if name == "BootOnly" else \
                host.set_variable(name, p.TEST, p.NV_BS_RT, b"h")
            self.assertTrue(outcome.ok, (name, outcome))
        self.assertTrue(host.set_variable("CustomMode", p.CUSTOM_MODE, p.NV_BS, b"\1").ok)

    def test_phases_come_back_one_by_one(self):
        guest = self.guest(self.e)
        guest.set("BootOnly", p.TEST, p.NV_BS, b"boot")
        guest.end_of_dxe()
        self.restart()
        guest = self.resume(guest)
        self.assertEqual(guest.get("BootOnly", p.TEST)[2], b"boot")
        self.assertNotEqual(guest.lock("A", p.TEST), p.SUCCESS)
        phases = self.host(self.e).status()["phases"]
        self.assertEqual(phases, {"end-of-dxe": True, "ready-to-boot": False,
                                  "exit-boot-services": False})

    def test_the_host_is_bound_before_the_guest_is_back(self):
        guest = self.guest(self.e)
        self.boot(guest)
        self.restart()
        host = self.host(self.e)
        self.check_host_bound(host)
        state = host.snapshot()["state"]
        self.assertEqual(state & (p.HOST_STATE_GUEST | p.HOST_STATE_CONNECTED),
                         p.HOST_STATE_GUEST)

    def test_no_session_file_fails_closed(self):
        guest = self.guest(self.e)
        self.boot(guest)
        self.e.kill()
        os.unlink(self.e.session)
        self.e.start()
        guest = self.resume(guest)
        self.assert_status(guest.get("BootOnly", p.TEST)[0], p.NOT_FOUND)
        self.assert_status(guest.get("Vol", p.TEST)[0], p.NOT_FOUND)
        self.assertNotEqual(guest.register_policy("More", p.TEST), p.SUCCESS)
        self.assertNotEqual(guest.set("CustomMode", p.CUSTOM_MODE, p.NV_BS, b"\1"), p.SUCCESS)
        self.assertTrue(self.host(self.e).status()["session"]["failed-closed"])
        guest.reset()
        self.assertEqual(guest.get("BootOnly", p.TEST)[2], b"boot")
        self.assert_status(guest.register_policy("More", p.TEST), p.SUCCESS)

    def test_a_spoiled_session_file_fails_closed(self):
        guest = self.guest(self.e)
        self.boot(guest)
        self.e.kill()
        with open(self.e.session, "r+b") as file:
            for at in (0, 16 << 20):
                file.seek(at)
                file.write(os.urandom(64))
        self.e.start()
        guest = self.resume(guest)
        self.assert_status(guest.get("BootOnly", p.TEST)[0], p.NOT_FOUND)

    def test_another_id_is_a_cold_start(self):
        guest = self.guest(self.e)
        self.boot(guest)
        self.restart()
        guest = self.guest(self.e)
        self.assertEqual(guest.get("BootOnly", p.TEST)[2], b"boot")
        self.assert_status(guest.get("Vol", p.TEST)[0], p.NOT_FOUND)
        self.assert_status(guest.set("Locked", p.TEST, p.NV_BS_RT, b"x"), p.SUCCESS)

    def test_reset(self):
        guest = self.guest(self.e)
        self.boot(guest)
        guest.reset()
        self.assertEqual(guest.get("BootOnly", p.TEST)[2], b"boot")
        self.assert_status(guest.get("Vol", p.TEST)[0], p.NOT_FOUND)
        self.assert_status(guest.set("Locked", p.TEST, p.NV_BS_RT, b"x"), p.SUCCESS)
        # ... and the reset outlives the engine.
        self.restart()
        guest = self.resume(guest)
        self.assertEqual(guest.get("BootOnly", p.TEST)[2], b"boot")

    def test_bye_ends_it(self):
        guest = self.guest(self.e)
        self.boot(guest)
        guest.bye()
        self.assertTrue(guest.at_end())
        self.assertEqual(os.path.getsize(self.e.session), 0)
        self.assertFalse(self.host(self.e).status()["session"]["alive"])
        # Nothing of it is left to resume.
        guest = self.resume(guest)
        self.assert_status(guest.get("BootOnly", p.TEST)[0], p.NOT_FOUND)

    def test_a_clean_stop_is_resumed_too(self):
        guest = self.guest(self.e)
        self.boot(guest)
        self.assertEqual(self.e.stop(), 0)
        self.e.start()
        self.check_runtime(self.resume(guest))

    def test_many_volatile_variables(self):
        guest = self.guest(self.e)
        data = {f"V{i}": os.urandom(20000) for i in range(12)}
        for name, value in data.items():
            self.assert_status(guest.set(name, p.TEST, p.BS_RT, value), p.SUCCESS)
        self.restart()
        guest = self.resume(guest)
        for name, value in data.items():
            self.assertEqual(guest.get(name, p.TEST)[2], value)

    @unittest.skipUnless(LONG, "takes 30 s: UV_LONG=1")
    def test_thirty_seconds_without_the_client(self):
        guest = self.guest(self.e)
        self.boot(guest)
        guest.close()
        host = self.host(self.e, timeout=60)
        host.snapshot()
        time.sleep(28)
        self.check_host_bound(host)
        self.assertTrue(host.status()["session"]["alive"])
        time.sleep(4)
        self.assertFalse(host.status()["session"]["alive"])
        self.assertTrue(host.set_variable("Locked", p.TEST, p.NV_BS_RT, b"h").ok)


class Durability(EngineTest):
    """Whatever was acknowledged is there after kill -9, also what was under way is whole or not."""

    def check(self, seen, pending):
        guest = self.guest(self.e, flags=0)
        for name, value in seen.items():
            status, _, data = guest.get(name, p.TEST)
            allowed = [value]
            if pending and pending[0] == name:
                allowed.append(pending[1])
            now = data if status == p.SUCCESS else None
            self.assertIn(now, allowed, name)
            seen[name] = now
        if pending and pending[0] not in seen:
            status, _, data = guest.get(pending[0], p.TEST)
            if status == p.SUCCESS:
                self.assertEqual(data, pending[1])
                seen[pending[0]] = data
        guest.close()

    def test_killed_at_random_moments(self):
        chance = random.Random(int(os.environ.get("UV_SEED", "1")))
        self.e = self.engine()
        seen, written = {}, 0
        wanted = 5000 if LONG else 300
        rounds = 0
        while written < wanted:
            rounds += 1
            guest = self.guest(self.e)
            killer = threading.Timer(chance.uniform(0.01, 0.5), self.e.kill)
            killer.start()
            pending = None
            try:
                while True:
                    name = f"K{chance.randrange(40)}"
                    value = None if chance.random() < 0.1 else chance.randbytes(
                        chance.randrange(1, 600))
                    pending = (name, value)
                    if value is None:
                        status = guest.delete(name, p.TEST)
                        self.assertIn(status, (p.SUCCESS, p.NOT_FOUND))
                    else:
                        self.assert_status(guest.set(name, p.TEST, p.NV_BS_RT, value), p.SUCCESS)
                    seen[name] = value
                    pending = None
                    written += 1
            except (p.Closed, OSError):
                pass
            killer.join()
            guest.close()
            self.e.start()
            self.check(seen, pending)
        print(f"{written} changes, {rounds} kills", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
