"""`python -m conch` is `conch`."""

from conch.cli.main import main

main()
