"""The environment is read once, whole, and a wrong value names itself."""

import pytest

from services.errors import WrongSetting
from services.settings import Kafka, Secret, Settings

PASSWORD = "hunter2"
DATABASE = f"postgresql://defter:{PASSWORD}@db-{{shard}}:5432/ledger"

SASL = {
    "DEFTER_KAFKA": "kafka:9092",
    "DEFTER_KAFKA_SECURITY": "sasl_plaintext",
    "DEFTER_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "DEFTER_KAFKA_USER": "defter",
    "DEFTER_KAFKA_PASSWORD": PASSWORD,
}


def test_with_nothing_set_the_local_installation_is_meant() -> None:
    settings = Settings.read({})

    assert settings.local
    assert (settings.prefix, settings.ledger, settings.log, settings.postings) == ("defter.", "main", "console", False)
    assert settings.instance


def test_a_variable_that_is_empty_counts_as_not_set() -> None:
    assert Settings.read({"DEFTER_DATABASE": "", "DEFTER_LOG": "", "DEFTER_INSTANCE": "a"}) == Settings(instance="a")


def test_the_local_installation_fills_in_what_is_not_set() -> None:
    settings = Settings.read({"DEFTER_PREFIX": "mine."}).at("postgresql://h/d", "127.0.0.1:9092")

    assert settings.database(0) == settings.read_database(0) == "postgresql://h/d"
    assert settings.brokers() == Kafka(servers="127.0.0.1:9092")
    assert settings.prefix == "mine."


def test_each_shard_may_have_a_database_of_its_own() -> None:
    settings = Settings.read({"DEFTER_DATABASE": DATABASE})

    assert settings.database(7) == f"postgresql://defter:{PASSWORD}@db-7:5432/ledger"


def test_the_read_models_are_in_the_journals_database_unless_said_otherwise() -> None:
    together = Settings.read({"DEFTER_DATABASE": "postgresql://a/d"})
    apart = Settings.read({"DEFTER_DATABASE": "postgresql://a/d", "DEFTER_READ_DATABASE": "postgresql://b/d{shard}"})

    assert together.read_database(0) == "postgresql://a/d"
    assert apart.read_database(1) == "postgresql://b/d1"


def test_who_we_are_to_kafka_is_read_whole() -> None:
    assert Settings.read(SASL).brokers() == Kafka(
        servers="kafka:9092",
        security="sasl_plaintext",
        mechanism="SCRAM-SHA-512",
        user="defter",
        password=Secret(PASSWORD),
    )


def test_no_password_shows_in_what_is_printed_of_the_settings() -> None:
    settings = Settings.read({**SASL, "DEFTER_DATABASE": DATABASE})

    assert PASSWORD not in repr(settings) + str(settings) + f"{settings.kafka} {settings.dsn}"


WRONG = [
    ({"DEFTER_DATABASE": f"host=db password={PASSWORD} {PASSWORD}"}, "DEFTER_DATABASE", "postgresql://"),
    ({"DEFTER_READ_DATABASE": "nonsense"}, "DEFTER_READ_DATABASE", "postgresql://"),
    ({"DEFTER_READ_DATABASE": "postgresql://db/ledger"}, "DEFTER_READ_DATABASE", "for the local installation"),
    ({**SASL, "DEFTER_KAFKA": ""}, "DEFTER_KAFKA_", "for the local installation"),
    ({"DEFTER_KAFKA": "kafka"}, "DEFTER_KAFKA", "host:port"),
    ({"DEFTER_KAFKA": "kafka:9092,other:99999"}, "DEFTER_KAFKA is wrong at server 2", "host:port"),
    ({"DEFTER_KAFKA": f"ann:{PASSWORD}@kafka:9092"}, "DEFTER_KAFKA", "DEFTER_KAFKA_PASSWORD"),
    ({"DEFTER_KAFKA": f"{PASSWORD}@kafka:9092"}, "DEFTER_KAFKA", "host:port"),
    ({"DEFTER_KAFKA_SECURITY": "SSL"}, "DEFTER_KAFKA_SECURITY", "plaintext or ssl or sasl_plaintext or sasl_ssl"),
    ({**SASL, "DEFTER_KAFKA_SASL_MECHANISM": "GSSAPI"}, "DEFTER_KAFKA_SASL_MECHANISM", "SCRAM-SHA-256"),
    ({**SASL, "DEFTER_KAFKA_PASSWORD": ""}, "DEFTER_KAFKA_PASSWORD", "sasl_plaintext"),
    ({**SASL, "DEFTER_KAFKA_SECURITY": ""}, "DEFTER_KAFKA_USER", "plaintext"),
    ({"DEFTER_KAFKA_SECURITY": "ssl", "DEFTER_KAFKA_CA": "/nowhere.pem"}, "DEFTER_KAFKA_CA", "a file that can be read"),
    ({"DEFTER_PREFIX": "my ledger "}, "DEFTER_PREFIX", "letters"),
    ({"DEFTER_INSTANCE": "a/b"}, "DEFTER_INSTANCE", "letters"),
    ({"DEFTER_POSTINGS": "yes"}, "DEFTER_POSTINGS", "0 or 1"),
    ({"DEFTER_LOG": "xml"}, "DEFTER_LOG", "console or json"),
    ({"DEFTER_LEDGER": "Main"}, "DEFTER_LEDGER", "a ledger's name"),
    ({"DEFTER_LEDGER": "main\n"}, "DEFTER_LEDGER", "a ledger's name"),
    ({"DEFTER_PORT": "65536"}, "DEFTER_PORT", "0 to 65535"),
]


@pytest.mark.parametrize(("environ", "name", "expected"), WRONG)
def test_a_wrong_setting_is_named_with_what_was_expected(environ: dict[str, str], name: str, expected: str) -> None:
    with pytest.raises(WrongSetting) as wrong:
        Settings.read(environ)

    assert name in str(wrong.value)
    assert expected in str(wrong.value)
    assert PASSWORD not in str(wrong.value)


def test_what_is_needed_and_not_set_is_named_when_it_is_needed() -> None:
    settings = Settings.read({})

    with pytest.raises(WrongSetting, match="DEFTER_DATABASE"):
        settings.database(0)
    with pytest.raises(WrongSetting, match="DEFTER_KAFKA"):
        settings.brokers()
