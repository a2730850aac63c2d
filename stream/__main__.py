"""`python -m stream` is `vigil`."""

from stream.cli import main

main()
