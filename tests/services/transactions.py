"""A producer that uses transactions of Kafka, though Defter does not: the end of each takes an offset as well."""

from aiokafka import AIOKafkaProducer


async def send_in_one(servers: str, topic: str, *values: bytes, abort: bool = False) -> None:
    """Send these to the first partition of a topic in one transaction, and commit or abort it."""
    async with AIOKafkaProducer(bootstrap_servers=servers, transactional_id=f"of {topic}") as producer:
        await producer.begin_transaction()
        for value in values:
            await (await producer.send(topic, value, partition=0))
        await (producer.abort_transaction() if abort else producer.commit_transaction())
