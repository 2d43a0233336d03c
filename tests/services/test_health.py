"""Whether a process is alive and ready, as whoever asks over HTTP hears it."""

import asyncio
import json
from typing import Any

import psutil
import pytest

from services.errors import WrongSetting
from services.health import Health, serving
from services.keeping import keep
from services.settings import Kafka, Secret, Settings
from tests.services.cli.program import Program


async def ask(port: int, request: str) -> tuple[int, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{request} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body) if body else None


async def test_a_process_is_alive_from_the_beginning_and_ready_when_a_part_of_it_works() -> None:
    health = Health("writer")
    async with serving(health, 0) as port:
        assert await ask(port, "GET /livez") == (200, {"live": True})
        assert await ask(port, "GET /readyz") == (503, {"ready": False, "waits": {"writer": "starting"}})

        health.works("writer 0")

        assert await ask(port, "GET /readyz?verbose") == (200, {"ready": True, "waits": {}})


async def test_who_works_on_several_shards_is_not_ready_before_all_of_them() -> None:
    health = Health("projector")
    nowhere = Settings(instance="test", dsn=Secret("postgresql://127.0.0.1:1/none"), kafka=Kafka(servers="127.0.0.1:1"))
    keeping = [asyncio.create_task(keep(nowhere, shard, health)) for shard in range(3)]
    await asyncio.sleep(0)

    health.works("projector 0")

    assert health.waiting.keys() == {"projector 1", "projector 2"}
    for task in keeping:
        task.cancel()
    await asyncio.wait(keeping)


async def test_what_is_waited_for_is_told_until_it_is_back() -> None:
    health = Health("writer")
    health.works("writer")
    async with serving(health, 0) as port:
        health.waits("writer 3", "Kafka at k:1 does not answer")
        assert await ask(port, "GET /readyz") == (
            503,
            {"ready": False, "waits": {"writer 3": "Kafka at k:1 does not answer"}},
        )

        health.works("writer 3")

        assert (await ask(port, "GET /readyz"))[0] == 200


async def test_other_requests_are_told_what_there_is() -> None:
    async with serving(Health("writer"), 0) as port:
        assert await ask(port, "GET /") == (404, {"error": "there are /livez, /readyz"})
        assert (await ask(port, "POST /livez"))[0] == 405
        assert await ask(port, "HEAD /livez") == (200, None)


async def test_whoever_says_nothing_or_nonsense_keeps_nobody_waiting() -> None:
    async with serving(Health("writer"), 0) as port:
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        reader, nonsense = await asyncio.open_connection("127.0.0.1", port)
        nonsense.write(b"x" * 100_000)

        assert await reader.read() == b""
        assert (await ask(port, "GET /livez"))[0] == 200
        silent.close()
        nonsense.close()


def test_a_process_that_is_given_no_port_listens_nowhere() -> None:
    with Program({"DEFTER_DATABASE": "postgresql://127.0.0.1:1/none", "DEFTER_KAFKA": "127.0.0.1:1"}).start(
        "writer"
    ) as process:
        assert process.stderr
        assert b"begins" in process.stderr.readline()

        listening = [one for one in psutil.Process(process.pid).net_connections() if one.status == psutil.CONN_LISTEN]

        process.kill()
    assert not listening


async def test_a_port_that_is_taken_is_a_wrong_setting() -> None:
    async with serving(Health("writer"), 0) as port:
        with pytest.raises(WrongSetting, match=f"DEFTER_PORT is {port}"):
            async with serving(Health("writer"), port):
                pass
