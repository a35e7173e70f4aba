# SPDX-License-Identifier: GPL-2.0-or-later
"""What a row of the conformance table runs in: a fresh guest's store, its guest door, and a host
door that is either the engine's host socket or files of a mount."""

import errno
import json
import os
import struct
import subprocess

import uvengine
import uvmount
import uvproto
import uvsign
from uvproto import *  # noqa: F401,F403 (the table is written in its words)

ERRNO = {
    SUCCESS: 0, INVALID_PARAMETER: errno.EINVAL, OUT_OF_RESOURCES: errno.ENOSPC,
    DEVICE_ERROR: errno.EIO, WRITE_PROTECTED: errno.EROFS, SECURITY_VIOLATION: errno.EACCES,
    NOT_FOUND: errno.ENOENT, ABORTED: errno.EINTR, UNSUPPORTED: errno.EINVAL,
}

PK, KEK, DB = uvsign.Key("pk", 2048), uvsign.Key("kek"), uvsign.Key("db")
STRANGER = uvsign.Key("kek")  # the name of another, and no more


def stored(name, guid, data, attributes=uvsign.KEYS):
    entry = uvmount.variable(name, data, attributes, guid)
    entry["time"] = uvsign.time_bytes(1).hex()
    return entry


STORES = {
    "empty": (),
    "enrolled": (stored("PK", GLOBAL, uvsign.x509(PK)), stored("KEK", GLOBAL, uvsign.x509(KEK)),
                 stored("db", IMAGE_SECURITY, uvsign.x509(DB))),
}


def with_timestamp():
    """As python-uefivars spells it."""
    entry = stored("dbx", IMAGE_SECURITY, uvsign.hashes(1))
    entry["timestamp"] = uvsign.time_bytes(30).hex()
    del entry["time"]
    return entry


STORES["no-enable"] = STORES["enrolled"] + (
    uvmount.variable("SecureBootEnable", b"", NV_BS, SECURE_BOOT_ENABLE),)
STORES["no-kek"] = tuple(v for v in STORES["enrolled"] if v["name"] != "KEK")
STORES["timestamp"] = STORES["enrolled"] + (with_timestamp(),)


class World:
    """guest: a connected uvproto.Guest after a cold start."""

    guest = None

    def write(self, name, guid, attributes, data):
        """A write from the host; an errno, 0 for success."""
        raise NotImplementedError

    def files(self):
        """{file name: content} as the host sees them."""
        raise NotImplementedError

    def set(self, name, guid=TEST, attributes=NV_BS_RT, data=b"x"):
        """By the guest, and it must succeed: for what a row needs beforehand."""
        status = self.guest.set(name, guid, attributes, data)
        assert status == SUCCESS, f"{name}: {status_name(status)}"

    def sign(self, key, name, guid, data, **how):
        return uvsign.write(key, name, guid, data, **how)

    def set_signed(self, key, name, guid, data, attributes=uvsign.KEYS, **how):
        return self.guest.set(name, guid, attributes,
                              uvsign.write(key, name, guid, data, attributes=attributes, **how))

    def byte(self, name, guid=GLOBAL):
        content = self.files().get(f"{name}-{guid}")
        return content[4] if content and len(content) == 5 else None

    def data(self, name, guid=TEST):
        content = self.files().get(f"{name}-{guid}")
        return content[4:] if content is not None else None

    def runtime(self):
        self.guest.end_of_dxe()
        self.guest.ready_to_boot()
        self.guest.exit_boot_services()


class SocketWorld(World):
    def __init__(self, scratch, name, store, arguments):
        path = scratch.path / f"{name}.json"
        path.write_text(uvmount.store_text(*STORES[store]))
        self.engine = uvengine.Engine(scratch.path, *arguments, store=path.name, name=name,
                                      stderr=subprocess.DEVNULL)
        self.guest = self.engine.guest().hello()
        self.host = self.engine.host()
        self.host.hello()

    def crash(self):
        """The engine is killed and started again; the guest comes back with its session."""
        self.engine.process.kill()
        self.engine.process.wait()
        self.engine.start()
        session = self.guest.session
        self.guest.close()
        self.guest = self.engine.guest().hello(session)
        self.host.close()
        self.host = self.engine.host()
        self.host.hello()

    def close(self):
        self.guest.close()
        self.host.close()
        self.engine.process.kill()
        self.engine.process.wait()

    def write(self, name, guid, attributes, data):
        if attributes == 0 and not data:
            outcome = self.host.delete(f"{name}-{guid}")
        else:
            outcome = self.host.set_variable(name, guid, attributes, data)
        return outcome.errno or ERRNO[outcome.status]

    def files(self):
        with self.engine.host() as host:
            host.hello()
            return {k: v[0] for k, v in host.snapshot()["entries"].items()}

    def status(self):
        return self.host.status()

    def store_text(self):
        return self.host.export()


class MountWorld(World):
    """A guest of a mount that all rows share. `arguments` of an engine become its config.json."""

    KEYS = {"--force-secure-boot": "force-secure-boot",
            "--disable-custom-mode": "disable-custom-mode"}

    def __init__(self, mount, name, arguments):
        self.mount, self.name = mount, name
        if arguments:
            config = json.dumps({self.KEYS[a]: True for a in arguments})
            (mount.guest(name) / "config.json").write_text(config)
        self.guest = uvproto.Guest(os.readlink(mount.guest(name) / "mm.sock")).hello()

    def close(self):
        self.guest.bye()
        self.guest.close()

    def write(self, name, guid, attributes, data):
        path = self.mount.vars(self.name) / f"{name}-{guid}"
        try:
            if attributes == 0 and not data:
                os.unlink(path)
                return 0
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.write(fd, struct.pack("<I", attributes) + data)
            finally:
                os.close(fd)
        except OSError as error:
            return error.errno
        return 0

    def files(self):
        folder = self.mount.vars(self.name)
        return {name: (folder / name).read_bytes() for name in os.listdir(folder)}

    def status(self):
        return self.mount.status(self.name)

    def store_text(self):
        return (self.mount.guest(self.name) / "store.json").read_text()
