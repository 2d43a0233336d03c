"""Who waits says what for, for as long as it lasts."""

from structlog.testing import capture_logs

from services.errors import Away
from services.health import Health
from services.patience import patiently

WHYS = ["PostgreSQL: refused", "PostgreSQL: starting up", "Kafka does not answer", "PostgreSQL: refused"]


async def test_what_is_waited_for_is_said_as_it_is_now_and_logged_once_for_each() -> None:
    health, said, coming = Health("writer"), list[dict[str, str]](), list(WHYS)

    async def call() -> str:
        said.append(health.waiting)
        if coming:
            raise Away(coming.pop(0))
        return "answer"

    with capture_logs() as log:
        answer = await patiently("writer", call, health)

    assert answer == "answer"
    assert said[1:] == [{"writer": why} for why in WHYS]
    assert health.waiting == {}
    assert [line["event"] for line in log] == ["waiting", "waiting", "back"]
