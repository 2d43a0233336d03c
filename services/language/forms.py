"""Structs to JSON Schema 2020-12.

Law: what the codec takes the schema takes. The other way round it holds but for what no schema can say: that a date
exists, that two units differ, that text of digits is in range to the last unit, that no field is given twice, and that
`5.0` is no whole number (`tests/schemas/test_published.py` lists them). Patterns are ECMAScript's.

msgspec knows most of it. Added here are what the codec and the structs see to by themselves: that null leaves an
optional field of a command out, what holds between fields, and sentences for fields whose type says none.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.reasons import Reason
from services.language.messages import Kind, Message

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

Form = dict[str, Any]


def form(message: Message) -> Form:
    """Give the schema of a message."""
    ((_,), forms) = msgspec.json.schema_components([message.struct], ref_template="#/$defs/{name}")
    told: Form = _merged(forms, {**_ALSO.get(message.name, {}), **_WITHIN})
    settle = _command if message.kind is Kind.COMMAND else _told
    own = {name: settle(_settled(each)) for name, each in sorted(told.items()) if name in forms}
    main = own.pop(message.struct.__name__)
    if message.kind is Kind.EVENT:
        _brought_about(main, message.name)
    return {"$schema": DIALECT, **main} | ({"$defs": own} if own else {})


SENTENCES: Final[Mapping[str, str]] = {
    "type": "what this message is; the version in it is for ever",
    "amount": "a whole number of the unit's minimal parts, as an integer or as text; at most 9223372036854775807",
    "at_least": "a whole number of minimal parts, as an integer or as text",
    "at_most": "a whole number of minimal parts, as an integer or as text",
    "limit": "at most so much of `base` is taken altogether, in minimal parts",
    "fee": "minimal parts, charged to the first movement's source and paid to the treasury; 0 is no fee",
    "floor": "the balance may fall to this and no further, in minimal parts: 0 or below, with `capped_overdraft` only",
    "movements": "what moves, all of it or nothing",
    "postings": "what landed on each account, in order",
    "source": "the account that gives, by its name or its alias",
    "destination": "the account that gets, by its name or its alias",
    "unit": "what is counted; its own conservation boundary",
    "sell": "the unit that is given",
    "buy": "the unit that is got",
    "effective_at": "the time that the caller says it is to count from; kept, and not judged by. UTC",
    "expires_at": "what remains is given back at the first command after this time. UTC",
    "expect": "what must be so before anything moves",
    "versions": "account to the version that it must have",
    "balances": "what balances must be",
    "consumes": "the postings that are used up, whole",
    "creates": "the postings that come into being; per unit they add up to what is consumed",
    "policies": "how far below zero such an account may go; the first is the default",
    "policy": "how far below zero the account may go",
    "singleton": "whether there may be only one such account",
    "source_types": "the types of account that may give; none named means any",
    "destination_types": "the types of account that may get; none named means any",
    "units": "the units that may be used; none named means any",
    "flags": "marks that books look at",
    "accounts": "accounts that may take part, beside those that share a flag",
    "final": "whether what remains of the hold is released",
    "state": "absent while the account is open",
    "ads": "the offers that were taken, in the order of the route",
    "outcome": "what came of the command",
    "duplicate": "whether the id had its outcome before; this is that one",
    "reason": "the first reason that holds, in the order of the contract",
    "details": "what the reason is about",
    "command_type": "the type of the command that was refused",
}
"""What a field says whose type does not say it, by its name."""

_UPDATED: Final = (
    *({"properties": {field: {"not": {"type": "null"}}}, "required": [field]} for field in ("policy", "flags")),
    *({"required": [field]} for field in ("floor", "book", "alias")),
)
_ALSO: Final[Mapping[str, Form]] = {
    "update-account.v1": {"UpdateAccount": {"anyOf": list(_UPDATED)}},
    "post-ad.v1": {"PostAd": {"properties": {"rate": {"not": {"pattern": r"^[0.]*\Z"}}}}},
    **{
        f"account-{change}.v1": {f"Account{change.title()}": {"properties": {"state": {"enum": ["frozen", "closed"]}}}}
        for change in ("opened", "updated", "frozen", "unfrozen", "closed")
    },
}
"""By message, what its struct sees to when it is made."""
_WITHIN: Final[Mapping[str, Form]] = {
    "Creation": {"properties": {"amount": {"not": {"enum": [0, "0"]}}}},
    "Reason": {"enum": [str(reason) for reason in Reason]},
}
"""The same for what is part of messages; and the order of the reasons, which is law."""

_NULL: Final = {"type": "null"}


def _command(struct: Form) -> Form:
    """Let null stand for whatever may be left out: a command is read as if it were not there."""
    for name, field in struct.get("properties", {}).items():
        if name not in struct.get("required", ()) and _NULL not in field.get("anyOf", ()):
            around = {key: field.pop(key) for key in ("description", "default") if key in field}
            struct["properties"][name] = {**around, "anyOf": [*field.pop("anyOf", [field]), _NULL]}
    return struct


def _told(struct: Form) -> Form:
    """Take null away: what is told says nothing by leaving it out."""
    for name, field in struct.get("properties", {}).items():
        field.pop("default", None)
        said = [one for one in field.get("anyOf", ()) if one != _NULL]
        if len(said) == 1:
            del field["anyOf"]
            struct["properties"][name] = field | said[0]
    return struct


def _brought_about(event: Form, name: str) -> None:
    """Every event names the command that brought it about, but for the one that time brings about."""
    if name == "hold-expired.v1":
        del event["properties"]["command"]
    else:
        event["required"].append("command")


def _settled(struct: Form) -> Form:
    """Bring what msgspec gives into the form that is published."""
    struct = _walked(struct)
    for name, field in struct.get("properties", {}).items():
        said = next((one.pop("description") for one in field.get("anyOf", ()) if "description" in one), None)
        described = field.pop("description", None) or said or SENTENCES.get(name)
        struct["properties"][name] = ({"description": described} if described else {}) | field
    return struct


def _walked(value: Any) -> Any:
    if isinstance(value, list):
        return [_walked(each) for each in value]
    if not isinstance(value, dict):
        return value
    walked = {key: _walked(each) for key, each in value.items() if (key, each) not in _NOTHING}
    if isinstance(walked.get("pattern"), str):
        walked["pattern"] = walked["pattern"].replace(r"\Z", "$")
    if isinstance(walked.get("description"), str):
        walked["description"] = re.sub(r"\s+", " ", walked["description"].partition("\n\n")[0])
    if isinstance(walked.get("enum"), list) and len(walked["enum"]) == 1:
        [walked["const"]] = walked.pop("enum")
    return walked


_NOTHING: Final[tuple[tuple[str, Any], ...]] = (("default", None), ("default", {}), ("default", []), ("required", []))


def _merged(one: Any, other: Any) -> Any:
    """Give both together; where both are objects, all the way down."""
    if isinstance(one, dict) and isinstance(other, Mapping):
        return {key: _merged(one.get(key), other.get(key)) for key in {**one, **other}}
    return one if other is None else other
