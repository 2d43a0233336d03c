"""Faults in what is published: a schema of another mind than the codec, examples that would lead others astray."""

from typing import Final

from tests.sabotage.fault import Fault

PUBLISHED: Final = ("tests/schemas/test_published.py",)
PAGES: Final = ("tests/docs/test_clients.py::test_every_command_of_the_page_prints_what_the_page_says",)
SUBSCRIBERS: Final = (
    "tests/docs/test_clients.py::test_a_subscriber_that_is_killed_and_told_twice_counts_once_and_stops_at_a_gap",
)

PUBLISHED_FAULTS: Final = (
    Fault(
        "a form is changed and the schemas are not made anew",
        "schemas/values.py",
        '_UNIT = r"^[A-Z0-9]{1,16}\\Z"',
        '_UNIT = r"^[A-Z0-9]{1,17}\\Z"',
        PUBLISHED,
    ),
    Fault(
        "an event may be without its command",
        "schemas/published/events/ad-withdrawn.v1.json",
        '    "ad",\n    "command"\n',
        '    "ad"\n',
        PUBLISHED,
    ),
    Fault(
        "the producer in Java rounds amounts",
        "docs/examples/java/Producer.java",
        '.put("amount", order[4])',
        '.put("amount", Double.parseDouble(order[4]))',
        PAGES,
    ),
    Fault(
        "the subscriber in Java counts what it is told twice",
        "docs/examples/java/Subscriber.java",
        "return its == sequence + 1;",
        "return true;",
        SUBSCRIBERS,
    ),
    Fault(
        "the subscriber in TypeScript rounds amounts",
        "docs/examples/typescript/subscriber.ts",
        "String(BigInt(kept.balances[place] ?? 0) + BigInt(amount))",
        "String(BigInt(Number(kept.balances[place] ?? 0) + Number(amount)))",
        SUBSCRIBERS,
    ),
    Fault(
        "the subscriber in TypeScript ends well where an event is missing",
        "docs/examples/typescript/subscriber.ts",
        "process.exitCode = 1",
        "process.exitCode = 0",
        SUBSCRIBERS,
    ),
)
