"""All the faults that `make sabotage` plants."""

from typing import Final

from tests.sabotage.client import CLIENT_FAULTS
from tests.sabotage.machine import MACHINE_FAULTS
from tests.sabotage.proof import PROOF_FAULTS
from tests.sabotage.published import PUBLISHED_FAULTS
from tests.sabotage.replies import REPLY_FAULTS
from tests.sabotage.rules import RULE_FAULTS

FAULTS: Final = (*MACHINE_FAULTS, *RULE_FAULTS, *REPLY_FAULTS, *CLIENT_FAULTS, *PUBLISHED_FAULTS, *PROOF_FAULTS)
