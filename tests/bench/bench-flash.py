# SPDX-License-Identifier: GPL-2.0-or-later
"""What an edit of a flash image costs beside an append and fdatasync, image by image. Reclaims are in
the figures; the baseline is measured in turns with the edits, for the machine's mood changes."""

import os
import shutil
import statistics
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import uvflash  # noqa: E402
from uvflash import Tool  # noqa: E402

IMAGES = [("528 KiB", uvflash.OVMF_VARS),
          ("64 MiB", "/usr/share/AAVMF/AAVMF_VARS.ms.fd")]
ROUNDS, EDITS, BYTES = 20, 20, 100


def microseconds(answer):
    word, value = answer.split()
    assert word == "ok", answer
    return int(value) / EDITS


def measure(title, path, folder, variables=10):
    image = os.path.join(folder, "image.fd")
    shutil.copyfile(path, image)
    os.sync()
    tool = Tool(image)
    edits, appends = [], []
    for i in range(ROUNDS + 1):
        append = microseconds(tool.ask(f"baseline {EDITS} {BYTES + 76} {folder}/log"))
        edit = microseconds(tool.ask(f"bench {EDITS} {BYTES} {i * EDITS} {variables}"))
        if i > 0:  # the first round makes the variables
            appends.append(append)
            edits.append(edit)
    tool.close()
    edit, append = statistics.median(edits), statistics.median(appends)
    mean = statistics.fmean(edits)
    print(f"edit of an image of {title:22} {edit:8.1f} us  baseline {append:8.1f} us (append of "
          f"{BYTES + 76} bytes + fdatasync)  ratio {edit / append:5.2f}  bar 2.3  "
          f"(mean with reclaims {mean:8.1f} us)", flush=True)


def main():
    if not all(os.path.exists(path) for _, path in IMAGES):
        uvflash.skip("ovmf or qemu-efi-aarch64 is not installed")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        small = os.path.join(folder, "small.fd")
        uvflash.small_image(small)
        for title, path in [("128 KiB", small), *IMAGES]:
            measure(title, path, folder)
        # Its last deletion has to be durable before the next change of the same variable.
        measure("528 KiB, one variable", uvflash.OVMF_VARS, folder, 1)


if __name__ == "__main__":
    main()
