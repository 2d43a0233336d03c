"""`python -m services.cli`: how one process of Defter starts another, with its own interpreter and packages."""

from services.cli import main

main()
