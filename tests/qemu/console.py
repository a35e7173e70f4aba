# SPDX-License-Identifier: GPL-2.0-or-later
"""The bare-metal guest's serial line: commands, and what it answers."""

import os
import queue
import threading
import time


class Console:
    """A part of who runs the guest, who may have a stderr() to be quoted."""

    def listen(self, output, commands):
        """Both are open files, which stay whoever opened them."""
        self.output = b""  # all that came over the serial line
        self.longest_gap = 0.0  # seconds between two parts of it, since write()
        self._last = None
        self._new = queue.Queue()
        self._commands = commands
        threading.Thread(target=self._read, args=[output.fileno()], daemon=True).start()

    def stderr(self):
        return ""

    def _read(self, fd):
        rest = b""
        while True:
            data = os.read(fd, 65536)
            if not data:
                break
            now = time.monotonic()
            if self._last:
                self.longest_gap = max(self.longest_gap, now - self._last)
                self._last = now
            self.output += data
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if not line.startswith((b"w ", b"e ")):
                    self._new.put(line.decode(errors="replace").strip())
        self._new.put(None)

    def type(self, text):
        self._commands.write(text.encode() + b"\n")
        self._commands.flush()

    def expect(self, prefix, timeout=30):
        """The next line that begins with `prefix`, and what came before."""
        before = []
        end = time.monotonic() + timeout
        while True:
            try:
                line = self._new.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no «{prefix}»; got {before}; {self.stderr()}") from None
            if line is None:
                raise EOFError(f"QEMU ended; got {before}; {self.stderr()}")
            # SeaBIOS leaves control sequences in front.
            if line.startswith(prefix) or line.endswith(prefix):
                return line, before
            before.append(line)

    def ready(self):
        return self.expect("ready")[0]

    def ask(self, command, prefix=None):
        """Types a command, and returns the words of its answer after the command's own."""
        self.type(command)
        line, _ = self.expect(prefix or command.split()[0])
        return line.split()[1:]

    def set(self, name, attributes, data):
        return self.ask(f"set {name} {attributes:x} {data.hex()}")[1]

    def get(self, name, guid=b""):
        """(status text, attributes, data); `guid`: its bytes, none: the test's."""
        words = self.ask(f"get {name} {guid.hex()}")
        if words[1] != "0":
            return words[1], 0, b""
        return words[1], int(words[2], 16), bytes.fromhex(words[3] if len(words) > 3 else "")

    def delete(self, name):
        return self.ask(f"delete {name}")[1]

    def names(self):
        self.type("list")
        _, before = self.expect("list")
        return [line.split()[1] for line in before if line.startswith("name ")]
