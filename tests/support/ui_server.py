"""The pages of ``ui`` over a home, served beside what looks at them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from halo_integrations.ui.guard import Guard
from halo_integrations.ui.server import app_of, listening


@contextmanager
def served_ui(home: Path) -> Iterator[tuple[str, Guard]]:
    """The address of a server over ``home``, and its guard."""
    listener = listening(0)
    port = listener.getsockname()[1]
    guard = Guard(port)
    ready = threading.Event()
    stop: list[object] = []

    def run() -> None:
        async def main() -> None:
            runner = web.AppRunner(app_of({"home": home}, guard))
            await runner.setup()
            await web.SockSite(runner, listener).start()
            done = asyncio.Event()
            stop.extend([asyncio.get_running_loop(), done])
            ready.set()
            await done.wait()
            await runner.cleanup()

        asyncio.run(main())

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(20)
    try:
        yield f"http://127.0.0.1:{port}", guard
    finally:
        loop, done = stop
        loop.call_soon_threadsafe(done.set)
        thread.join(20)
