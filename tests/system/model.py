"""What should be: all that lies in the commands topic, decided from the beginning by plain code in memory.

No batches, no journal, no overlap, nothing looked up and nothing forgotten. The broker's timestamps are the times.
"""

from aiokafka import ConsumerRecord

from services.kafka.ports import Record
from services.reading import read
from services.shard import NOTHING_RECALLED, Draft, Shard


class Model:
    """A partition as it should be.

    Args:
        partition: its number.
        partitions: how many there are.
    """

    def __init__(self, partition: int, partitions: int) -> None:
        self.shard = Shard(partition, partitions)
        self.should_be: Draft = self.shard.begin()
        self.last: Record | None = None

    def decide(self, records: list[ConsumerRecord]) -> None:
        """Decide records on top of all before them."""
        for came in records:
            record = Record(came.offset, came.timestamp, came.key, came.value, came.headers)
            self.shard.decide(read(record), NOTHING_RECALLED, self.should_be)
            self.last = record
