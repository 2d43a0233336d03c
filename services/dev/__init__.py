"""The local installation: real PostgreSQL and real Kafka without Docker.

For `defter dev`, `defter demo`, `defter bench` and the tests.

    with Installation(directory) as it:
        it.addresses.database, it.addresses.kafka     # where they answer
        it.kafka.kill(); it.kafka.run()               # kill -9, and again
        it.postgres.stop_at_once(); it.postgres.run() # as if the power had gone, and again

Both end with the process that started them, even when that is killed: `keeper` sees to it. `find(directory)` tells
whether one runs, and where.

    installation   both, in one directory, for one owner
    postgres       PostgreSQL: its settings and why each
    kafka          Kafka: its settings and why each · jars, java, archive: what it is made of, and run by
    server         a process that can be started, stopped, killed and started again
    keeper         the small program between owner and server
    ports          free ones that stay
"""

from services.dev.installation import Addresses, Installation, default_directory, find

__all__ = ["Addresses", "Installation", "default_directory", "find"]
