# SPDX-License-Identifier: GPL-2.0-or-later
"""An engine in the test's own process that misbehaves when told to.

It notes every frame of every connection in `frames` as (connection, type, payload). What it answers
is decided by `answers`: type -> function(payload) that returns the reply's payload or one of the
verbs SILENT, CLOSE and RAW(bytes).
"""

import os
import shutil
import socket
import struct
import tempfile
import threading

from qemu import uv

SILENT = object()
CLOSE = object()


class RAW:
    """These bytes, instead of a frame; the connection stays."""

    def __init__(self, data, pause=0):
        self.data, self.pause = data, pause


class REFUSE:
    """An ERROR frame."""

    def __init__(self, code, text):
        self.payload = struct.pack("<I", code) + text.encode()


def echo(payload):
    """An MM reply: success, and the buffer as it came."""
    return struct.pack("<II", 0, 0) + payload


def hello_reply(version=1, flags=0, size=262144, build="fake"):
    return struct.pack("<IIIIQ", version, 0, 65536, flags, size) + build.encode()


class FakeEngine:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="uv-fake-")
        self.path = os.path.join(self.folder, "mm.sock")
        self.frames = []
        self.answers = {uv.HELLO: lambda payload: hello_reply(), uv.MM: echo,
                        uv.SAVE: lambda payload: b"state" * 1000}
        self._connections = 0
        self._socks = []
        self._listener = None
        self.listen()

    def listen(self):
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            self._connections += 1
            self._socks.append(sock)
            threading.Thread(target=self._serve, args=(sock, self._connections),
                             daemon=True).start()

    def _serve(self, sock, number):
        frames = uv.Frames(sock, None)
        try:
            while True:
                type_, cookie, payload = frames.receive()
                self.frames.append((number, type_, payload))
                answer = self.answers.get(type_, lambda payload: b"")(payload)
                if answer is SILENT:
                    continue
                if answer is CLOSE:
                    sock.shutdown(socket.SHUT_RDWR)
                    return
                if isinstance(answer, RAW):
                    self._send_raw(sock, answer)
                elif isinstance(answer, REFUSE):
                    frames.send(uv.REPLY | uv.ERROR, answer.payload, cookie)
                else:
                    frames.send(uv.REPLY | type_, answer, cookie)
        except (uv.Closed, OSError):
            pass
        finally:
            sock.close()

    @staticmethod
    def _send_raw(sock, raw):
        if not raw.pause:
            sock.sendall(raw.data)
            return
        done = threading.Event()
        for byte in raw.data:
            sock.sendall(bytes([byte]))
            done.wait(raw.pause)

    def drop(self):
        """Closes every connection, as an engine that is killed."""
        for sock in self._socks:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._socks = []

    def stop_listening(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self.path)

    def types(self):
        return [type_ for _, type_, _ in self.frames]

    def count(self, type_):
        return self.types().count(type_)

    def close(self):
        self.drop()
        self._listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)
