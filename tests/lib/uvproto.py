# SPDX-License-Identifier: GPL-2.0-or-later
"""The wire protocol of uefivars-protocol(7) for tests: guest socket, host socket, MM messages.

Names of constants are those of vars/wire/wire.h without the prefix UV_WIRE_ or UV_. Everything blocks,
with a timeout; a broken protocol raises, an ERROR frame raises ErrorFrame.
"""

import array
import contextlib
import json
import os
import socket
import struct
import uuid

VERSION = 1
HEADER = struct.Struct("<IHHQ")
REPLY = 0x8000

HELLO, MM, RESET, SAVE, LOAD, ACQUIRE, BYE, ERROR = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0xFF
HELLO_INCOMING, HELLO_RESUME, HELLO_STORE = 1, 2, 4
STATE_FORCE_SECURE_BOOT, STATE_DISABLE_CUSTOM_MODE, STATE_READ_ONLY = 1, 2, 4
SAVE_RELEASE = 1
MM_MAX = 65536 + 64
BLOB_MAX = 16 * 1024 * 1024

E_MALFORMED, E_VERSION, E_UNKNOWN_TYPE, E_OCCUPIED, E_STATE = 1, 2, 3, 4, 5
E_STORE, E_BLOB, E_CHANGED, E_TIMEOUT, E_PROOF = 6, 7, 8, 9, 10

HOST_HELLO, HOST_SNAPSHOT, HOST_SET, HOST_STATUS, HOST_EXPORT = 0x40, 0x41, 0x42, 0x43, 0x44
HOST_IMPORT, HOST_TOUCH, HOST_LISTENER, HOST_CHECK, HOST_END = 0x45, 0x46, 0x47, 0x48, 0x49
HOST_VIEW_LIST, HOST_VIEW_READ, HOST_VIEW_ACT = 0x4B, 0x4C, 0x4D
VIEW_WRITE, VIEW_REMOVE, VIEW_MKDIR, VIEW_RMDIR = 0, 1, 2, 3
HOST_ACTOR, HOST_TRACE, HOST_TRACED = 0x4E, 0x4F, 0x52
TRACE_LINES, TRACE_PACKETS = 1, 2
HOST_FOLLOW, HOST_RECORDED, HOST_REFUSED = 0x53, 0x54, 0x55
HOST_BREAK = 0x60
HOST_SELFTEST, HOST_CHANGED, HOST_STATE = 0x4A, 0x50, 0x51
HOST_SET_DELETE, HOST_SET_EXCLUSIVE = 1, 2
HOST_STATE_GUEST, HOST_STATE_CONNECTED, HOST_STATE_READ_ONLY = 1, 2, 4
HOST_STATE_RUNTIME, HOST_STATE_RELEASED = 8, 16

DEVICE_SUCCESS, DEVICE_BUSY = 0x00, 0x01
DEVICE_UNKNOWN_ERROR, DEVICE_NOT_SUPPORTED, DEVICE_BAD_BUFFER_SIZE = 0x10, 0x11, 0x12

# EFI_STATUS
ERROR_BIT = 1 << 63
SUCCESS = 0
INVALID_PARAMETER, UNSUPPORTED, BAD_BUFFER_SIZE = ERROR_BIT | 2, ERROR_BIT | 3, ERROR_BIT | 4
BUFFER_TOO_SMALL, NOT_READY, DEVICE_ERROR = ERROR_BIT | 5, ERROR_BIT | 6, ERROR_BIT | 7
WRITE_PROTECTED, OUT_OF_RESOURCES, NOT_FOUND = ERROR_BIT | 8, ERROR_BIT | 9, ERROR_BIT | 14
ACCESS_DENIED, TIMEOUT, ALREADY_STARTED = ERROR_BIT | 15, ERROR_BIT | 18, ERROR_BIT | 20
ABORTED, SECURITY_VIOLATION = ERROR_BIT | 21, ERROR_BIT | 26
STATUS_NAMES = {v: k for k, v in list(globals().items())
                if isinstance(v, int) and (v & ERROR_BIT or k == "SUCCESS") and k != "ERROR_BIT"}

# Attributes
NV, BS, RT, HR, AW, AT, APPEND = 1, 2, 4, 8, 0x10, 0x20, 0x40
NV_BS, BS_RT, NV_BS_RT, NV_BS_RT_AT = 3, 6, 7, 0x27

# GUIDs, as text
GLOBAL = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
IMAGE_SECURITY = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
SECURE_BOOT_ENABLE = "f0a30bc7-af08-4556-99c4-001009c93a44"
CUSTOM_MODE = "c076ec0c-7028-4399-a072-71ee5c448b9f"
SHIM = "605dab50-e046-4300-abb6-3dd810dd8b23"
TEST = "12345678-9abc-def0-1122-334455667788"  # nobody's
SMM_VARIABLE = "ed32d533-99e6-4209-9cc0-2d72cdd998a7"
VAR_CHECK_POLICY = "da1b0d11-d1a7-46c4-9dc9-f3714875c6eb"
EVENT_END_OF_DXE = "02ce967a-dd7e-4ffc-9ee7-810cf0470880"
EVENT_READY_TO_BOOT = "7ce88fb3-4bd7-4679-87a8-a8d8dee50d2b"
EVENT_EXIT_BOOT_SERVICES = "27abf055-b1b8-4c26-8048-748f37baa2df"

# SmmVariableProtocol functions
F_GET, F_NEXT, F_SET, F_QUERY, F_READY, F_EXIT, F_STATISTICS, F_LOCK = 1, 2, 3, 4, 5, 6, 7, 8
F_PROPERTY_SET, F_PROPERTY_GET, F_PAYLOAD_SIZE = 9, 10, 11


def status_name(status):
    return STATUS_NAMES.get(status, hex(status))


class ProtocolError(Exception):
    """The peer broke the protocol, or closed the connection."""


class Closed(ProtocolError):
    pass


class ErrorFrame(Exception):
    def __init__(self, code, text):
        super().__init__(f"ERROR {code}: {text}")
        self.code = code
        self.text = text


def guid_bytes(guid):
    return uuid.UUID(guid).bytes_le


def guid_text(data):
    return str(uuid.UUID(bytes_le=bytes(data)))


def ucs2(name):
    """A name as the guest passes it, NUL included; bytes are taken as they are."""
    if isinstance(name, bytes):
        return name
    return name.encode("utf-16-le", "surrogatepass") + b"\0\0"


# MM messages ----------------------------------------------------------------------------------

def mm_message(guid, body, room=0):
    """A communicate buffer: header and body; `room` zero bytes more for the reply."""
    return guid_bytes(guid) + struct.pack("<Q", len(body) + room) + body + bytes(room)


def mm_variable(function, body=b"", room=0):
    """An SmmVariableProtocol message; body is what follows the function and status."""
    return mm_message(SMM_VARIABLE, struct.pack("<QQ", function, 0) + body, room)


def mm_access(name, guid, attributes=0, data=b"", data_size=None, name_size=None):
    text = ucs2(name)
    return (guid_bytes(guid) +
            struct.pack("<QQI", len(data) if data_size is None else data_size,
                        len(text) if name_size is None else name_size, attributes) + text + data)


def mm_get(name, guid, data_size=0):
    return mm_variable(F_GET, mm_access(name, guid, data_size=data_size) + bytes(data_size))


def mm_set(name, guid, attributes, data=b""):
    return mm_variable(F_SET, mm_access(name, guid, attributes, data))


def mm_next(name, guid, name_room=1024):
    text = ucs2(name) if name else b"\0\0"
    size = max(name_room, len(text))
    return mm_variable(F_NEXT, guid_bytes(guid) + struct.pack("<Q", size) +
                       text + bytes(size - len(text)))


def mm_query(attributes):
    return mm_variable(F_QUERY, struct.pack("<QQQI", 0, 0, 0, attributes))


def mm_lock(name, guid):
    text = ucs2(name)
    return mm_variable(F_LOCK, guid_bytes(guid) + struct.pack("<Q", len(text)) + text)


def mm_policy(command, body=b"", signature=0x43504356, revision=1, room=0):
    """A VarCheckPolicyLibMmiHandler message ('VCPC')."""
    return mm_message(VAR_CHECK_POLICY,
                      struct.pack("<IIIQ", signature, revision, command, 0) + body, room)


def policy_entry(name, guid, min_size=0, max_size=0xFFFFFFFF, must_have=0, cant_have=0, lock=0,
                 state=None):
    """A VARIABLE_POLICY_ENTRY. lock: 0 none, 1 now, 2 on create, 3 on variable state with `state`
    = (guid, value, name)."""
    text = ucs2(name) if name else b""
    extra = b""
    if state:
        extra = guid_bytes(state[0]) + struct.pack("<BB", state[1], 0) + ucs2(state[2])
    offset = 44 + len(extra)
    return struct.pack("<IHH16sIIIIB3x", 0x00010000, offset + len(text), offset, guid_bytes(guid),
                       min_size, max_size, must_have, cant_have, lock) + extra + text


# Frames ---------------------------------------------------------------------------------------

class Frames:
    """A connected socket that speaks frames."""

    def __init__(self, sock, timeout=10):
        self.sock = sock
        self.sock.settimeout(timeout)
        self.cookie = 0
        self.events = []  # (type, payload) with cookie 0, in order of arrival
        self.fds = []  # descriptors received

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def send_raw(self, data):
        self.sock.sendall(data)

    def send(self, type_, payload=b"", cookie=None, flags=0):
        if cookie is None:
            self.cookie += 1
            cookie = self.cookie
        self.sock.sendall(HEADER.pack(len(payload), type_, flags, cookie) + payload)
        return cookie

    def _read(self, size):
        out = bytearray()
        while len(out) < size:
            data, control, _, _ = self.sock.recvmsg(min(size - len(out), 1 << 20), 256)
            for level, kind, body in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds = array.array("i")
                    fds.frombytes(body[:len(body) - len(body) % fds.itemsize])
                    self.fds += list(fds)
            if not data:
                raise Closed(f"closed by the peer after {len(out)} of {size} bytes")
            out += data
        return bytes(out)

    def receive(self):
        """(type, cookie, payload) of the next frame, whatever it is."""
        length, type_, flags, cookie = HEADER.unpack(self._read(16))
        if flags:
            raise ProtocolError(f"flags {flags}")
        return type_, cookie, self._read(length)

    def wait(self, type_, cookie):
        """The payload of that reply; events on the way are kept."""
        while True:
            got, its, payload = self.receive()
            if got == REPLY | ERROR and its in (cookie, 0):
                code, = struct.unpack_from("<I", payload)
                raise ErrorFrame(code, payload[4:].decode())
            if not got & REPLY:
                self.events.append((got, payload))
                continue
            if got != REPLY | type_ or its != cookie:
                raise ProtocolError(f"reply {got:#x} to {its}, wanted {type_:#x} to {cookie}")
            return payload

    def request(self, type_, payload=b""):
        return self.wait(type_, self.send(type_, payload))

    def at_end(self):
        """True if the peer has closed; False if nothing came within the timeout."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False


def connect(path, timeout=10):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(timeout)
    sock.connect(path)
    return sock


class Guest(Frames):
    """What QEMU's device does. Guest(path).hello() and then variables by name and GUID text."""

    def __init__(self, path, timeout=10):
        super().__init__(connect(path, timeout) if isinstance(path, str) else path, timeout)
        self.session = None
        self.info = None

    def hello(self, session=None, flags=0, name="test", low=VERSION, high=VERSION, features=0,
              buffer_size=65536):
        self.session = session or os.urandom(16)
        reply = self.request(HELLO, hello_payload(self.session, flags, name, low, high, features,
                                                  buffer_size))
        version, features, size, state, storage = struct.unpack_from("<IIIIQ", reply)
        self.info = {"version": version, "features": features, "buffer": size, "state": state,
                     "storage": storage, "build": reply[24:].decode()}
        return self

    def mm(self, message):
        """(device status, buffer after processing)."""
        reply = self.request(MM, message)
        status, zero = struct.unpack_from("<II", reply)
        if zero:
            raise ProtocolError("second word of an MM reply is not zero")
        return status, reply[8:]

    def variable(self, function, body=b"", room=0):
        """(EFI status, body of the reply) of an SmmVariableProtocol message."""
        device, reply = self.mm(mm_variable(function, body, room))
        if device != DEVICE_SUCCESS:
            raise ProtocolError(f"device status {device:#x}")
        return struct.unpack_from("<Q", reply, 32)[0], reply[40:]

    def get(self, name, guid=GLOBAL, room=32768):
        """(status, attributes, data); data is b"" and attributes 0 on an error."""
        status, body = self.variable(F_GET, mm_access(name, guid, data_size=room), room)
        if status != SUCCESS:
            return status, 0, b""
        size, name_size, attributes = struct.unpack_from("<QQI", body, 16)
        return status, attributes, body[36 + name_size:36 + name_size + size]

    def set(self, name, guid=GLOBAL, attributes=NV_BS_RT, data=b""):
        return self.variable(F_SET, mm_access(name, guid, attributes, data))[0]

    def delete(self, name, guid=GLOBAL):
        return self.set(name, guid, 0, b"")

    def next(self, name="", guid="00000000-0000-0000-0000-000000000000", name_room=1024):
        """(status, name, GUID)"""
        text = ucs2(name) if name else b"\0\0"
        size = max(name_room, len(text))
        status, body = self.variable(F_NEXT, guid_bytes(guid) + struct.pack("<Q", size) + text +
                                     bytes(size - len(text)))
        if status != SUCCESS:
            return status, None, None
        size, = struct.unpack_from("<Q", body, 16)
        return (status, body[24:24 + size - 2].decode("utf-16-le", "surrogatepass"),
                guid_text(body[:16]))

    def names(self):
        """All (name, GUID) in enumeration order."""
        out = []
        status, name, guid = self.next()
        while status == SUCCESS:
            out.append((name, guid))
            status, name, guid = self.next(name, guid)
        if status != NOT_FOUND:
            raise ProtocolError(f"enumeration ended with {status_name(status)}")
        return out

    def query(self, attributes=NV_BS_RT):
        """(status, maximum storage, remaining, maximum variable)"""
        status, body = self.variable(F_QUERY, struct.pack("<QQQI", 0, 0, 0, attributes))
        return (status,) + struct.unpack_from("<QQQ", body)

    def lock(self, name, guid=GLOBAL):
        text = ucs2(name)
        return self.variable(F_LOCK, guid_bytes(guid) + struct.pack("<Q", len(text)) + text)[0]

    def policy(self, command, body=b"", room=0):
        """(result status, body of the reply) of a variable policy message."""
        _, reply = self.mm(mm_policy(command, body, room=room))
        return struct.unpack_from("<Q", reply, 24 + 12)[0], reply[24 + 20:]

    def register_policy(self, *args, **kwargs):
        return self.policy(3, policy_entry(*args, **kwargs))[0]

    def lock_policy(self):
        return self.policy(5)[0]

    def end_of_dxe(self):
        return self.mm(mm_message(EVENT_END_OF_DXE, b""))

    def ready_to_boot(self):
        return self.mm(mm_message(EVENT_READY_TO_BOOT, b""))

    def exit_boot_services(self):
        return self.mm(mm_message(EVENT_EXIT_BOOT_SERVICES, b""))

    def reset(self):
        self.request(RESET)

    def bye(self):
        self.request(BYE)

    def save(self, release=False):
        return self.request(SAVE, struct.pack("<I", SAVE_RELEASE if release else 0))

    def load(self, blob):
        self.request(LOAD, blob)

    def acquire(self):
        self.request(ACQUIRE)


class Prover(Guest):
    """A guest that sends descriptors along with HELLO, as the store's socket asks for one."""

    def __init__(self, path, *fds, timeout=10):
        super().__init__(path, timeout)
        self.give = fds

    def send_raw(self, data):
        """Who is turned away at once is told all the same."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().send_raw(data)

    def send(self, type_, payload=b"", cookie=None, flags=0):
        if type_ != HELLO:
            return super().send(type_, payload, cookie, flags)
        self.cookie += 1
        frame = HEADER.pack(len(payload), type_, flags, self.cookie) + payload
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", self.give))]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendmsg([frame], control if self.give else [])
        return self.cookie


def prove(path, store, **hello):
    """The guest of the store's socket at `path`, which has closed its descriptor as the device does."""
    fd = os.open(store, os.O_RDWR)
    try:
        guest = Prover(path, fd)
        try:
            return guest.hello(**{"flags": HELLO_STORE, **hello})
        except BaseException:
            guest.close()  # or the descriptor would be on its way still, and the store open
            raise
    finally:
        os.close(fd)


def hello_payload(session, flags=0, name="test", low=VERSION, high=VERSION, features=0,
                  buffer_size=65536):
    return (struct.pack("<IIII16sI", low, high, features, flags, session, buffer_size) +
            name.encode())


# Host socket ----------------------------------------------------------------------------------

class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, format_):
        values = struct.unpack_from(format_, self.data, self.at)
        self.at += struct.calcsize(format_)
        return values if len(values) > 1 else values[0]

    def bytes(self, size):
        if size > len(self.data) - self.at:
            raise ProtocolError("short payload")
        self.at += size
        return self.data[self.at - size:self.at]

    def rest(self):
        return self.bytes(len(self.data) - self.at)

    def name(self):
        return self.bytes(self.take("<H")).decode()

    def entry(self):
        name = self.name()
        mtime = self.take("<q")
        return name, mtime, self.bytes(self.take("<I"))

    def usage(self):
        total, remaining, largest = self.take("<QQQ")
        return {"total": total, "remaining": remaining, "largest": largest}

    def identity(self):
        return self.take("<QQQqq")


def host_name(name):
    text = name.encode()
    return struct.pack("<H", len(text)) + text


class Outcome(tuple):
    """(EFI status, errno or 0, reason)"""
    status = property(lambda self: self[0])
    errno = property(lambda self: self[1])
    reason = property(lambda self: self[2])
    ok = property(lambda self: self[0] == SUCCESS and self[1] == 0)


class Host(Frames):
    """What uefivarsfs does. Names are file names (Name-guid), contents u32 attributes and data."""

    def __init__(self, path, timeout=10):
        super().__init__(connect(path, timeout) if isinstance(path, str) else path, timeout)

    def hello(self, version=VERSION, build="test"):
        reader = Reader(self.request(HOST_HELLO, struct.pack("<I", version) + build.encode()))
        version, state, pid = reader.take("<III")
        return {"version": version, "state": state, "pid": pid, "identity": reader.identity(),
                "build": reader.rest().decode()}

    def snapshot(self):
        """{"state", "usage", "identity", "entries": {name: (content, mtime)}}; CHANGED follow."""
        reader = Reader(self.request(HOST_SNAPSHOT))
        out = {"state": reader.take("<I"), "usage": reader.usage(), "identity": reader.identity()}
        out["entries"] = {}
        for _ in range(reader.take("<I")):
            name, mtime, content = reader.entry()
            out["entries"][name] = (content, mtime)
        return out

    def _outcome(self, payload):
        status, errno_ = struct.unpack_from("<QI", payload)
        return Outcome((status, errno_, payload[12:].decode()))

    def set(self, name, content, flags=0, mtime=0):
        return self._outcome(self.request(
            HOST_SET, struct.pack("<Iq", flags, mtime) + host_name(name) + content))

    def set_variable(self, name, guid=GLOBAL, attributes=NV_BS_RT, data=b"", flags=0):
        return self.set(f"{name}-{guid}", struct.pack("<I", attributes) + data, flags)

    def delete(self, name):
        return self.set(name, b"", HOST_SET_DELETE)

    def touch(self, name, mtime):
        return self._outcome(self.request(HOST_TOUCH, struct.pack("<q", mtime) + host_name(name)))

    def status(self):
        return json.loads(self.request(HOST_STATUS))

    def export(self):
        return self.request(HOST_EXPORT)

    def import_(self, text):
        return self._outcome(self.request(HOST_IMPORT, text))

    def listener(self):
        """The guest's listening socket."""
        self.request(HOST_LISTENER)
        return socket.socket(fileno=self.fds.pop())

    def check(self):
        reader = Reader(self.request(HOST_CHECK))
        return {"state": reader.take("<I"), "usage": reader.usage(), "identity": reader.identity(),
                "process": reader.take("<I")}

    def break_hold(self):
        return self._outcome(self.request(HOST_BREAK))

    def actor(self, uid, gid, pid, comm):
        """Who asks for the next change on this connection. No reply."""
        self.send(HOST_ACTOR, struct.pack("<III", uid, gid, pid) + comm)

    def refused(self, error, path, text, operation="write", at_us=0, left_out=0):
        """What a front refused itself. No reply."""
        self.send(HOST_REFUSED, struct.pack("<QII", at_us, error, left_out) +
                  host_name(operation) + host_name(path) + host_name(text))

    def view_list(self, view):
        """{path: (mode, size)}"""
        reader = Reader(self.request(HOST_VIEW_LIST, host_name(view)))
        out = {}
        for _ in range(reader.take("<I")):
            mode, size, length = reader.take("<IQH")
            out[reader.bytes(length).decode()] = (mode, size)
        return out

    def view_read(self, view, path):
        """The text, as bytes; None if there is no such file."""
        payload = self.request(HOST_VIEW_READ, host_name(view) + host_name(path))
        status, _ = struct.unpack_from("<QI", payload)
        return payload[12:] if status == 0 else None

    def view_act(self, view, path, content=b"", act=VIEW_WRITE):
        return self._outcome(self.request(
            HOST_VIEW_ACT, struct.pack("<I", act) + host_name(view) + host_name(path) + content))

    def trace(self, wanted=TRACE_LINES):
        """From now on next_traced() has what the guest does."""
        self.request(HOST_TRACE, struct.pack("<I", wanted))

    def next_traced(self):
        """(kind, how many were lost, how many these are, their bytes)"""
        type_, payload = self.events.pop(0) if self.events else self.receive()[::2]
        if type_ != HOST_TRACED:
            raise ProtocolError(f"not TRACED: {type_:#x}")
        return struct.unpack_from("<IQI", payload) + (payload[16:],)

    def end(self):
        """True if the engine ends."""
        return struct.unpack_from("<I", self.request(HOST_END))[0] == 1

    def selftest(self, path):
        """{attempt: result text}"""
        lines = self.request(HOST_SELFTEST, path.encode()).decode().splitlines()
        return dict(line.split(": ", 1) for line in lines)

    def next_event(self):
        """The next event, decoded: {"type", "state", "usage", "identity", "changes": {name: content
        or None}}."""
        if not self.events:
            type_, cookie, payload = self.receive()
            if type_ & REPLY or cookie:
                raise ProtocolError(f"no event: {type_:#x}")
            self.events.append((type_, payload))
        type_, payload = self.events.pop(0)
        reader = Reader(payload)
        event = {"type": type_, "state": reader.take("<I"), "usage": reader.usage(),
                 "identity": reader.identity(), "changes": {}}
        if type_ == HOST_CHANGED:
            for _ in range(reader.take("<I")):
                if reader.take("<B") == 1:
                    name, _, content = reader.entry()
                    event["changes"][name] = content
                else:
                    event["changes"][reader.name()] = None
        if type_ == HOST_STATE:
            event["process"] = reader.take("<I")
        return event
