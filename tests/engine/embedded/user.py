"""A process that uses the PostgreSQL of a folder: prints its URL, stays until its input ends."""

import sys
from pathlib import Path

from engine.embedded.place import find_place
from engine.embedded.postgres import Postgres
from engine.embedded.shared import SharedServer

postgres = Postgres(fsync=False)
shared = SharedServer(find_place(Path(sys.argv[1])), postgres)
shared.acquire()
sys.stdout.write(f"{postgres.url(shared.sockets)}\n")
sys.stdout.flush()
sys.stdin.read()
shared.release()
