"""Every benchmark, one after the other; one by name is `python -m bench.desk`."""

import os
import subprocess
import sys

ALONE = ("desk", "checkpoints", "server", "scale", "soak")
WITH_DATA = ("banking77", "clinc150", "stackfaq")


def main() -> int:
    """Run them in processes of their own; the number of those that missed their limit."""
    names = ALONE + (WITH_DATA if "FRONTDESK_EVAL_DATA" in os.environ else ())
    failed = 0
    for name in names:
        print(f"== bench.{name}", flush=True)
        failed += (
            subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode != 0
        )
    if len(names) == len(ALONE):
        print(f"not run: {', '.join(WITH_DATA)} (FRONTDESK_EVAL_DATA is not set)")
    return failed


if __name__ == "__main__":
    sys.exit(main())
