"""Write the published language: `python -m services.language schemas/published`."""

import sys
from pathlib import Path

from services.language.files import write

if __name__ == "__main__":
    write(Path(sys.argv[1]))
