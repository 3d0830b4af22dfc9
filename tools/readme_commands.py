"""Run a README's ``sh`` blocks exactly as written, in a given folder; stop at the first that fails.

Usage: ``python tools/readme_commands.py README.md FOLDER``
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_TIMEOUT = 1800


def main(readme: Path, folder: Path) -> int:
    """Run the blocks; returns the exit code of the first that fails, 0 if none does."""
    # a caller in the background ignores Ctrl-C, and so would everything started here; tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)
    blocks = _BLOCK.findall(readme.read_text(encoding="utf-8"))
    if len(blocks) < 2:
        print(f"{readme}: expected at least two ```sh blocks, found {len(blocks)}", file=sys.stderr)
        return 2
    for block in blocks:
        print(f"$ {block.strip()}", flush=True)
        began = time.monotonic()
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=folder, timeout=_TIMEOUT, check=False)
        print(f"(exit code {done.returncode}, {time.monotonic() - began:.1f} s)", flush=True)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
