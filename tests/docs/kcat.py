"""What kcat does, as far as the recipe in docs/examples/kcat.md asks, on the library that kcat is made of.

kcat itself is a package of an operating system, which nobody shall have to install to run the tests. Where it is on the
PATH the tests run it; else this, which takes the same words and hands the same settings to librdkafka.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition

PATIENTLY_S: Final = 30.0
OPTIONS: Final = argparse.ArgumentParser(allow_abbrev=False)
OPTIONS.add_argument("-P", dest="produce", action="store_true")
OPTIONS.add_argument("-C", dest="consume", action="store_true")
OPTIONS.add_argument("-b", dest="brokers", required=True)
OPTIONS.add_argument("-t", dest="topic", required=True)
OPTIONS.add_argument("-X", dest="settings", action="append", default=[])
OPTIONS.add_argument("-k", dest="key")
OPTIONS.add_argument("-l", dest="file")
OPTIONS.add_argument("-o", dest="offset", choices=["beginning"])
OPTIONS.add_argument("-e", dest="ends", action="store_true")
OPTIONS.add_argument("-q", dest="quiet", action="store_true")
OPTIONS.add_argument("-f", dest="form", default="%s\\n")


def produce(asked: argparse.Namespace, settings: dict[str, str]) -> None:
    """Send each line, of a file or of what is piped in."""
    failed: list[KafkaError] = []
    producer = Producer(settings)
    text = Path(asked.file).read_text("utf-8") if asked.file else sys.stdin.read()
    for line in text.splitlines():
        producer.produce(
            asked.topic, line, asked.key, on_delivery=lambda error, _: failed.append(error) if error else None
        )
    if producer.flush(PATIENTLY_S) or failed:
        sys.exit(f"not sent: {failed}")


def consume(asked: argparse.Namespace, settings: dict[str, str]) -> None:
    """Print what is there, from the beginning to the end."""
    consumer = Consumer({**settings, "group.id": "kcat", "enable.auto.commit": "false"})
    partitions = consumer.list_topics(asked.topic, PATIENTLY_S).topics[asked.topic].partitions
    for partition in partitions:
        first, end = consumer.get_watermark_offsets(TopicPartition(asked.topic, partition), PATIENTLY_S)
        consumer.assign([TopicPartition(asked.topic, partition, first)] if first < end else [])
        while first < end:
            message = consumer.poll(PATIENTLY_S)
            if message is None or message.error():
                sys.exit("not read")
            first = (message.offset() or 0) + 1
            sys.stdout.write(shown(asked.form, message))
    consumer.close()


def shown(form: str, message: Message) -> str:
    """Write a message as the form says."""
    headed: Any = message.headers() or ()
    headers = ",".join(f"{name}={value.decode()}" for name, value in headed)
    said = {"%k": (message.key() or b"").decode(), "%s": (message.value() or b"").decode(), "%h": headers, "\\n": "\n"}
    for sign, text in said.items():
        form = form.replace(sign, text)
    return form


if __name__ == "__main__":
    arguments = OPTIONS.parse_args()
    given = {"bootstrap.servers": arguments.brokers, **dict(setting.split("=", 1) for setting in arguments.settings)}
    (produce if arguments.produce else consume)(arguments, given)
