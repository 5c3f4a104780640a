"""A process that opens all servers as the application does, and says what it got or why not."""

import asyncio
import logging
import sys
from contextlib import AsyncExitStack

from blockbuster import blockbuster_ctx

from engine.embedded import open_servers
from engine.errors import ConfigError
from engine.settings import Settings


async def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    try:
        async with AsyncExitStack() as stack:
            with blockbuster_ctx():
                servers = await stack.enter_async_context(open_servers(Settings(_env_file=None)))
                await servers.redis.set("known", "yes")
            sys.stdout.write(f"{servers.redis_url}\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)
    except ConfigError as error:
        sys.exit(f"ConfigError: {error}")


asyncio.run(main())
