#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Secure Boot keys on a mount with the tools people use: efitools make and write them, sbvarsign signs
private variables, virt-fw-vars enrols stores, mokutil and efi-readvar show the result. No step is
done by us; what must be refused is, with the errno that the kernel's efivarfs would give."""

import errno
import json
import os
import pathlib
import struct
import subprocess
import sys
import time
import types

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

import uvmount  # noqa: E402
import uvsign  # noqa: E402
from uvproto import GLOBAL, IMAGE_SECURITY, TEST  # noqa: E402

uvmount.need("openssl", "cert-to-efi-sig-list", "sign-efi-sig-list", "efi-updatevar", "efi-readvar",
             "sbvarsign", "mokutil", "virt-fw-vars", "unshare")
uvmount.need_mount()

OWNER = "11111111-2222-3333-4444-555555555555"
OVMF = "/usr/share/OVMF/OVMF_VARS_4M.fd"
ATTRIBUTES = b"\x27\0\0\0"


def run(*command, **more):
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False, **more)
    return result.returncode, result.stdout.decode(errors="replace")


def must(*command, **more):
    code, text = run(*command, **more)
    assert code == 0, f"{command}: {text}"
    return text


class Tools:
    """Keys, lists and signed updates, each made by its tool in a folder of its own."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        for name in ("PK", "KEK", "db", "stranger", "newPK"):
            must("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj",
                 f"/CN=test {name}", "-days", "3", "-keyout", self.key(name), "-out",
                 self.cert(name))
            must("cert-to-efi-sig-list", "-g", OWNER, self.cert(name), self.list(name))

    def key(self, name):
        return self.folder / f"{name}.key"

    def cert(self, name):
        return self.folder / f"{name}.crt"

    def list(self, name):
        return self.folder / f"{name}.esl"

    def sign(self, signer, variable, esl, second, *flags):
        """The file that sign-efi-sig-list makes: header and content."""
        out = self.folder / f"{variable}-{signer}-{second}.auth"
        must("sign-efi-sig-list", *flags, "-g", OWNER, "-t", f"2031-01-01 00:00:{second:02}", "-k",
             self.key(signer), "-c", self.cert(signer), variable, esl, out)
        return out


def cat(source, variable, attributes=ATTRIBUTES):
    """`cat` of attributes and update onto a variable's file; the errno of its write, or 0."""
    staged = source.with_suffix(".file")
    staged.write_bytes(attributes + source.read_bytes())
    code, text = run("sh", "-c", 'cat "$0" > "$1"', staged, variable,
                     env={**os.environ, "LC_ALL": "C"})
    return 0 if code == 0 else next((number for number in errno.errorcode
                                     if os.strerror(number) in text), -1)


class Guest:
    def __init__(self, mount, name):
        self.mount, self.name, self.vars = mount, name, mount.vars(name)

    def path(self, name):
        guid = GLOBAL if name in ("PK", "KEK") else IMAGE_SECURITY
        return self.vars / f"{name}-{guid}"

    def modes(self):
        return self.mount.status(self.name)["secure-boot"]

    def content(self):
        return {n: (self.vars / n).read_bytes() for n in os.listdir(self.vars)}

    def refuses(self, expected, function, *arguments):
        before = self.content()
        got = function(*arguments)
        assert got == expected, f"errno {got}, wanted {expected}"
        assert self.content() == before, "changed all the same"


def cycle_with_cat(tools, guest):
    """Enrolment from nothing, an append, and everything that must not work."""
    assert guest.modes()["setup-mode"] is True
    guest.refuses(errno.EACCES, cat, tools.sign("KEK", "PK", tools.list("PK"), 1),
                  guest.path("PK"))
    for signer, name in (("KEK", "db"), ("PK", "KEK"), ("PK", "PK")):
        assert cat(tools.sign(signer, name, tools.list(name), 1), guest.path(name)) == 0, name
    modes = guest.modes()
    assert (modes["setup-mode"], modes["secure-boot"]) == (False, True), modes

    append = tools.sign("KEK", "db", tools.list("newPK"), 2, "-a")
    assert cat(append, guest.path("db"), b"\x67\0\0\0") == 0
    expected = tools.list("db").read_bytes() + tools.list("newPK").read_bytes()
    assert guest.path("db").read_bytes() == ATTRIBUTES + expected
    assert cat(append, guest.path("db"), b"\x67\0\0\0") == 0  # nothing new
    assert guest.path("db").read_bytes() == ATTRIBUTES + expected

    good = tools.sign("KEK", "db", tools.list("db"), 10)
    changed = tools.folder / "changed.auth"
    content = good.read_bytes()
    changed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    guest.refuses(errno.EACCES, cat, tools.sign("stranger", "db", tools.list("db"), 10),
                  guest.path("db"))
    guest.refuses(errno.EACCES, cat, tools.sign("db", "KEK", tools.list("db"), 10),
                  guest.path("KEK"))
    guest.refuses(errno.EACCES, cat, changed, guest.path("db"))
    guest.refuses(errno.EACCES, cat, append, guest.path("db"), ATTRIBUTES)  # wrong attributes
    guest.refuses(errno.EINVAL, cat, good, guest.path("db"), b"\x07\0\0\0")
    assert cat(good, guest.path("db")) == 0
    guest.refuses(errno.EACCES, cat, tools.sign("KEK", "db", tools.list("newPK"), 10),
                  guest.path("db"))  # replayed time stamp
    replay(guest, good)


def replay(guest, good):
    """What was accepted once is refused a second time, and no way to delete goes without a key."""
    guest.refuses(errno.EACCES, cat, good, guest.path("db"))
    for name in ("PK", "KEK", "db"):
        guest.refuses(errno.EACCES, unlink, guest.path(name))
        guest.refuses(errno.EACCES, write, guest.path(name), ATTRIBUTES)
        guest.refuses(errno.EACCES, write, guest.path(name), b"\0\0\0\0")
        guest.refuses(errno.EINVAL, write, guest.path(name), b"\7\0\0\0")
        guest.refuses(0, truncate, guest.path(name))
        staged = guest.vars / ".staged"
        guest.refuses(errno.EACCES, rename_over, staged, guest.path(name), ATTRIBUTES)


def unlink(path):
    return errno_of(os.unlink, path)


def truncate(path):
    return errno_of(os.truncate, path, 0)


def write(path, content):
    def action():
        fd = os.open(path, os.O_WRONLY)
        try:
            os.write(fd, content)
        finally:
            os.close(fd)
    return errno_of(action)


def rename_over(staged, path, content):
    def action():
        staged.write_bytes(content)
        os.rename(staged, path)
    return errno_of(action)


def errno_of(function, *arguments):
    try:
        function(*arguments)
    except OSError as error:
        return error.errno
    return 0


def at_efivars(guest, *command):
    """Runs efitools as examples/efitools says: the guest's variables bound to where they look, and the
    wrapper for mount(8) first in PATH, in a mount namespace of their own."""
    script = ("mount -t tmpfs none /sys/firmware; mkdir -p /sys/firmware/efi/efivars; "
              'mount --bind "$1" /sys/firmware/efi/efivars; PATH="$2:$PATH"; shift 2; exec "$@"')
    return run("unshare", "-m", "sh", "-ec", script, "sh", guest.vars,
               uvmount.TOP / "examples" / "efitools", *command)


def must_at_efivars(guest, *command):
    code, text = at_efivars(guest, *command)
    assert code == 0, f"{command}: {text}"
    return text


def cycle_with_efitools(tools, guest):
    for signer, name in (("KEK", "db"), ("PK", "KEK"), ("PK", "PK")):
        auth = tools.sign(signer, name, tools.list(name), 1)
        must_at_efivars(guest, "efi-updatevar", "-f", auth, name)
    assert guest.modes()["secure-boot"] is True
    update = tools.sign("KEK", "db", tools.list("newPK"), 2, "-a")
    must_at_efivars(guest, "efi-updatevar", "-a", "-f", update, "db")
    must_at_efivars(guest, "efi-updatevar", "-a", "-c", tools.cert("stranger"), "-k",
                    tools.key("KEK"), "db")
    text = must_at_efivars(guest, "efi-readvar")
    for name in ("PK", "KEK", "db", "newPK", "stranger"):
        assert f"CN=test {name}" in text, text
    before = guest.content()
    refused = tools.sign("stranger", "KEK", tools.list("KEK"), 5)
    code, _ = at_efivars(guest, "efi-updatevar", "-f", refused, "KEK")
    assert code != 0 and guest.content() == before
    must_at_efivars(guest, "efi-updatevar", "-k", tools.key("PK"), "-f",
                    tools.sign("PK", "PK", tools.list("newPK"), 6), "PK")
    assert "CN=test newPK" in must_at_efivars(guest, "efi-readvar", "-v", "PK")


def shown_by_mokutil(guest):
    environment = {**os.environ, "EFIVARFS_PATH": f"{guest.vars}/"}
    for option, name in (("--pk", "PK"), ("--kek", "KEK"), ("--db", "db")):
        _, text = run("mokutil", option, env=environment)
        assert f"test {name}" in text, text
    _, text = run("mokutil", "--sb-state", env=environment)
    assert "SecureBoot enabled" in text, text


def enrolled_by_virt_fw_vars(tools, source, name, json_format):
    out = source / (f"{name}.json" if json_format else f"{name}.fd")
    must("virt-fw-vars", "-i", OVMF, "--set-pk", OWNER, tools.cert("PK"), "--add-kek", OWNER,
         tools.cert("KEK"), "--add-db", OWNER, tools.cert("db"),
         *(["--output-json", out] if json_format else ["-o", out]))


def takes_updates(tools, guest):
    """A store that virt-fw-vars enrolled takes updates signed by its keys, and no other."""
    assert guest.modes()["setup-mode"] is False
    guest.refuses(errno.EACCES, cat, tools.sign("stranger", "db", tools.list("newPK"), 40),
                  guest.path("db"))
    assert cat(tools.sign("KEK", "db", tools.list("newPK"), 41), guest.path("db")) == 0
    assert cat(tools.sign("PK", "KEK", tools.list("db"), 42), guest.path("KEK")) == 0
    assert cat(tools.sign("db", "dbx", tools.list("stranger"), 43), guest.path("dbx")) == 0
    guest.refuses(errno.EACCES, cat, tools.sign("KEK", "db", tools.list("db"), 44),
                  guest.path("db"))


def signed_by_sbvarsign(tools, signer, content):
    """Attributes, header and content of the variable Private."""
    plain, out = tools.folder / "private", tools.folder / f"private.{signer}"
    plain.write_bytes(content)
    must("sbvarsign", "--include-attrs", "--guid", TEST, "--attr",
         "NON_VOLATILE,BOOTSERVICE_ACCESS,RUNTIME_ACCESS", "--key", tools.key(signer), "--cert",
         tools.cert(signer), "--output", out, "Private", plain)
    return out.read_bytes()


def signed_by_openssl(tools, signer, content):
    key = types.SimpleNamespace(key=tools.key(signer), pem=tools.cert(signer))
    now = time.gmtime()
    stamp = struct.pack("<HBBBBB9x", *now[:6])
    whole = uvsign.signed_bytes("Private", TEST, uvsign.KEYS, stamp, content)
    return ATTRIBUTES + uvsign.header(stamp, uvsign.Key.pkcs7(key, whole)) + content


def sbvarsign_signs(tools):
    """Debian 13's signs something else than what it writes: openssl does not verify it, either."""
    made = signed_by_sbvarsign(tools, "KEK", b"one")
    length, = struct.unpack_from("<I", made, 20)
    signature, content = made[44:20 + length], made[20 + length:]
    whole = tools.folder / "whole"
    whole.write_bytes(uvsign.signed_bytes("Private", TEST, uvsign.KEYS, made[4:20], content))
    code, _ = run("openssl", "cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-content",
                  whole, "-out", "/dev/null", input=uvsign.wrap(signature))
    if code != 0:
        print("private variables are signed with openssl: this sbvarsign's signatures are wrong")
    return code == 0


def private_variable(tools, guest):
    """A signer writes; another one is refused, also for deletion."""
    sign = signed_by_sbvarsign if sbvarsign_signs(tools) else signed_by_openssl
    path = guest.vars / f"Private-{TEST}"

    def signed(signer, content):
        return sign(tools, signer, content)

    def create(content):
        def action():
            fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.write(fd, content)
            finally:
                os.close(fd)
        return errno_of(action)
    first = signed("KEK", b"one")
    assert create(first) == 0
    assert path.read_bytes() == ATTRIBUTES + b"one"
    guest.refuses(errno.EACCES, create, signed("stranger", b"two"))
    guest.refuses(errno.EACCES, create, first)
    guest.refuses(errno.EACCES, unlink, path)
    guest.refuses(errno.EINVAL, create, b"\7\0\0\0two")
    wait_a_second(first)
    guest.refuses(errno.EACCES, create, signed("stranger", b""))
    assert create(signed("KEK", b"two")) == 0
    assert path.read_bytes() == ATTRIBUTES + b"two"


def wait_a_second(signed):
    """They stamp the present second: the next signature needs a later one."""
    stamp = signed[4 + 6]
    uvmount.wait_until(lambda: time.gmtime().tm_sec != stamp, "the next second", step=0.05)


def reset_by_hand(tools, guest):
    """What uefivarsd(8) says to do when the keys are lost: CustomMode while no guest runs. Signatures are
    waived then, headers are not; and not for what is somebody's own."""
    custom = guest.vars / "CustomMode-c076ec0c-7028-4399-a072-71ee5c448b9f"
    empty = tools.sign("stranger", "PK", "/dev/null", 50)
    guest.refuses(errno.EACCES, cat, empty, guest.path("PK"))
    custom.write_bytes(b"\3\0\0\0\1")
    guest.refuses(errno.EACCES, unlink, guest.path("PK"))
    guest.refuses(errno.EACCES, cat, empty, guest.vars / f"Private-{TEST}")
    assert cat(empty, guest.path("PK")) == 0
    assert guest.modes()["setup-mode"] is True and not guest.path("PK").exists()
    assert cat(tools.sign("newPK", "PK", tools.list("newPK"), 1), guest.path("PK")) == 0
    custom.write_bytes(b"\3\0\0\0\0")
    guest.refuses(errno.EACCES, cat, tools.sign("db", "PK", "/dev/null", 51), guest.path("PK"))


def in_stores(guest, scratch):
    """What comes out is a store for others: QEMU's fields, and readable by virt-fw-vars."""
    text = (guest.mount.guest(guest.name) / "store.json").read_text()
    entry, = [v for v in json.loads(text)["variables"] if v["name"] == "Private"]
    assert len(entry["digest"]) == 64 and len(entry["time"]) == 32
    copy = scratch.path / "export.json"
    copy.write_text(text)
    shown = must("virt-fw-vars", "-i", copy, "--print")
    assert "Private" in shown and "PK" in shown, shown


def main():
    with uvmount.Scratch() as scratch:
        tools = Tools(scratch.path / "keys")
        source = scratch.path / "store"
        source.mkdir()
        for name in ("cat", "efitools"):
            (source / f"{name}.json").write_text(uvmount.store_text())
        enrolled_by_virt_fw_vars(tools, source, "enrolled", True)
        enrolled_by_virt_fw_vars(tools, source, "image", False)
        mount = scratch.mount(source)
        for step in (lambda: cycle_with_cat(tools, Guest(mount, "cat")),
                     lambda: shown_by_mokutil(Guest(mount, "cat")),
                     lambda: cycle_with_efitools(tools, Guest(mount, "efitools")),
                     lambda: takes_updates(tools, Guest(mount, "enrolled")),
                     lambda: takes_updates(tools, Guest(mount, "image")),
                     lambda: private_variable(tools, Guest(mount, "cat")),
                     lambda: private_variable(tools, Guest(mount, "image")),
                     lambda: in_stores(Guest(mount, "cat"), scratch),
                     lambda: reset_by_hand(tools, Guest(mount, "cat")),
                     lambda: reset_by_hand(tools, Guest(mount, "image"))):
            step()
    print("ok")


if __name__ == "__main__":
    main()
