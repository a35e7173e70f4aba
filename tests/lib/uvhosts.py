# SPDX-License-Identifier: GPL-2.0-or-later
"""Hosts that share a folder: namespaces of mounts, names and networks, each with its own /run and its own
boot id. Sockets below a folder that all of them see can be reached from any.

    with Host(folder, "one") as host:
        subprocess.run(host.enter + ["hostname"])
"""

import os
import subprocess
import uuid

import uvskip

# Who unmounts one of these waits for the last copy of it. One may go by itself meanwhile: with its folder.
NO_OTHERS_MOUNTS = """
awk '$3 == "fuse.uefivarsfs" {print $2}' /proc/mounts | xargs -r -n1 umount -l 2>/dev/null || true
"""
SCRIPT = f"""
set -e
mount --make-rprivate /
{NO_OTHERS_MOUNTS}
mount -t tmpfs none /run
mount --bind "$1" /proc/sys/kernel/random/boot_id
hostname "$2"
echo ready
exec sleep infinity
"""


def needs():
    """Skips the whole test where there can be none."""
    if os.geteuid() != 0:
        uvskip.skip("namespaces need root")
    tried = subprocess.run(["unshare", "--mount", "--uts", "--net", "true"], check=False,
                           stderr=subprocess.DEVNULL)
    if tried.returncode:
        uvskip.skip("no namespaces can be made here")


class Host:
    def __init__(self, folder, name):
        self.name = name
        self.boot_file = os.path.join(str(folder), f"{name}.boot-id")
        self.boot = str(uuid.uuid4())
        with open(self.boot_file, "w") as file:
            file.write(self.boot + "\n")
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--uts", "--net", "sh", "-c", SCRIPT, "host", self.boot_file, name],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{name}: its namespaces can't be made")
        self.enter = ["nsenter", "-t", str(self.process.pid), "-m", "-u", "-n", "-r", "--"]

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def path(self, path):
        """What the host sees there, for us."""
        return f"/proc/{self.process.pid}/root{path}"
