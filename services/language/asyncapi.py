"""The AsyncAPI 3 document: which message goes on which topic, under which key, with which headers.

It is told from Defter's side: it receives commands, and sends everything else.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from schemas.cloudevents import STRUCTURED
from schemas.reasons import DeadReason
from services.kafka.topics import Topics
from services.language.messages import MESSAGES, Kind, Message

Part = dict[str, Any]


def document(examples: Mapping[str, str]) -> Part:
    """Give the document.

    Args:
        examples: a line of JSON for each message, by its name.
    """
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Defter",
            "version": "1.0.0",
            "description": "A double-entry ledger that is fed by Kafka. Delivery is at least once, in order within a "
            "ledger; a duplicate event is told by its ledger and sequence. The version of a message is in its type.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"kafka": {"host": "localhost:9092", "protocol": "kafka", "description": "your brokers"}},
        "channels": _CHANNELS,
        "operations": _OPERATIONS,
        "components": {
            "messages": {message.name: _message(message, examples[message.name]) for message in MESSAGES}
            | {"cloudevent": _CLOUD_EVENT, "dead-letter": _DEAD_LETTER}
        },
    }


def _message(message: Message, example: str) -> Part:
    return {
        "name": message.name,
        "title": message.struct.__name__,
        "headers": _HEADERS[message.kind],
        "payload": {"$ref": message.path},
        "bindings": {"kafka": {"key": _KEYS[message.kind], "bindingVersion": "0.5.0"}},
        "examples": [{"name": message.name, "payload": json.loads(example)}],
    }


def _text(description: str, **more: Any) -> Part:
    return {"type": "string", "description": description} | more


def _headers(fields: Mapping[str, Part], *required: str) -> Part:
    return {"type": "object", "properties": dict(fields)} | ({"required": list(required)} if required else {})


def _channel(name: str, address: str | None, description: str, messages: Iterable[str], **topic: Any) -> Part:
    named = {"address": address, "title": name, "description": description}
    refs = {message: {"$ref": f"#/components/messages/{message}"} for message in messages}
    bindings = {"bindings": {"kafka": {**topic, "bindingVersion": "0.5.0"}}} if topic else {}
    return named | {"messages": refs} | bindings


def _all(kind: Kind) -> list[str]:
    return [message.name for message in MESSAGES if message.kind is kind]


_NUMBER: Final = r"^(0|[1-9][0-9]*)$"
_LEDGER: Final = _text("the ledger")
_REPLY_TO: Final = {"reply-to": _text("an existing topic to which the outcome is sent, once it is durable")}
_PLACE: Final = {
    "ledger": _text("the same as in the event"),
    "sequence": _text("the same as in the event", pattern=_NUMBER),
    "position": _text(
        "place in the shard's journal; grows, and may skip, but may go back where the database was restored: "
        "the order is that of the sequences",
        pattern=_NUMBER,
    ),
}
_CLOUD: Final = {
    "ce_specversion": _text("with `DEFTER_CLOUDEVENTS=1`, as all that begin with `ce_`: a CloudEvent", const="1.0"),
    "ce_id": _text("the sequence"),
    "ce_source": _text("`defter:` and the ledger"),
    "ce_type": _text("the type of the event"),
    "ce_time": _text("the same as `at` in the event"),
    "content-type": _text("of the value", const="application/json"),
}
_HEADERS: Final = {
    Kind.COMMAND: _headers(
        {
            **_REPLY_TO,
            "ce_id": _text("makes a CloudEvent in binary mode of the record; the same as the command's id"),
            "ce_specversion": _text("of a CloudEvent in binary mode", const="1.0"),
        }
    ),
    Kind.EVENT: _headers(_PLACE | _CLOUD, *_PLACE),
    Kind.REPLY: _headers({}),
    Kind.POSTING: _headers({}),
}
_KEYS: Final = {
    Kind.COMMAND: _text("the ledger; a record without key is fine where there is one partition"),
    Kind.EVENT: _LEDGER,
    Kind.REPLY: _text("the command's id"),
    Kind.POSTING: _text("ledger and account, with a slash between them"),
}
_WHY: Final = {
    "reason": _text("why it was not decided", enum=[str(reason) for reason in DeadReason]),
    "detail": _text("what is wrong, and where; a reader takes the first header of a name"),
    "topic": _text("where the record came from"),
    "partition": _text("where the record came from", pattern=_NUMBER),
    "offset": _text("where the record came from", pattern=_NUMBER),
}
_DEAD_LETTER: Final[Part] = {
    "name": "dead-letter",
    "title": "DeadLetter",
    "summary": "A record that was not decided: its own key, value and headers, unchanged, behind those that say why.",
    "contentType": "application/octet-stream",
    "headers": _headers(_WHY, *_WHY),
    "payload": {"description": "the record's bytes, whatever they are"},
    "bindings": {"kafka": {"key": {"description": "the record's key"}, "bindingVersion": "0.5.0"}},
}

_CLOUD_EVENT: Final[Part] = {
    "name": "cloudevent",
    "title": "CloudEvent",
    "summary": "A command in the `data` of a CloudEvent, in structured mode. Its id is the command's.",
    "contentType": STRUCTURED.decode(),
    "headers": _headers(
        {**_REPLY_TO, "content-type": _text("parameters may follow", pattern=f"^{re.escape(STRUCTURED.decode())}")},
        "content-type",
    ),
    "payload": {
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": _text("the same as the command's"),
            "source": _text("whatever the producer likes", minLength=1),
            "type": _text("whatever the producer likes", minLength=1),
            "data": {"$ref": "command.json"},
        },
        "required": ["specversion", "id", "source", "type", "data"],
    },
    "bindings": {"kafka": {"key": _KEYS[Kind.COMMAND], "bindingVersion": "0.5.0"}},
}

_TOPICS: Final = Topics("defter.")
_FOR_EVER: Final = {"topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": -1, "retention.bytes": -1}}
_CHANNELS: Final[Part] = {
    "commands": _channel(
        "commands",
        _TOPICS.commands,
        "What is asked for. A ledger lives in the partition that murmur2 of its name gives, Kafka's default for Java. "
        "Send with `acks=all`, and again with the same id until the outcome is known: an id has one outcome for ever. "
        "Transactions of Kafka are not respected: a command is decided even if its transaction is aborted afterwards.",
        [*_all(Kind.COMMAND), "cloudevent"],
        **_FOR_EVER,
    ),
    "events": _channel(
        "events",
        _TOPICS.events,
        "What was decided, in order within a ledger. Keep the last sequence with your own data, drop what is not above "
        "it, and stop if one is missing.",
        _all(Kind.EVENT),
        **_FOR_EVER,
    ),
    "postings": _channel(
        "postings",
        _TOPICS.postings,
        "One message a posting, for those who follow accounts. Off unless `DEFTER_POSTINGS=1`.",
        _all(Kind.POSTING),
        **_FOR_EVER,
    ),
    "dead-letters": _channel(
        "dead-letters", _TOPICS.dead_letters, "What was not decided, and why.", ["dead-letter"], **_FOR_EVER
    ),
    "replies": _channel(
        "replies", None, "A topic of the caller's, named by the header `reply-to` of a command.", _all(Kind.REPLY)
    ),
}


def _operation(action: str, channel: str, summary: str, **more: Any) -> Part:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary} | more


_OPERATIONS: Final[Part] = {
    "decide": _operation(
        "receive",
        "commands",
        "Decide a command. Its outcome is an event, or a dead letter where it is no command or may not be decided.",
        reply={
            "address": {"location": "$message.header#/reply-to"},
            "channel": {"$ref": "#/channels/replies"},
        },
    ),
    "publish-events": _operation("send", "events", "Tell what was decided."),
    "publish-postings": _operation("send", "postings", "Tell what landed on each account."),
    "publish-dead-letters": _operation("send", "dead-letters", "Tell what was not decided."),
}
