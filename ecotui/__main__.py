"""`python -m ecotui` is the command `ecotui`."""

from ecotui.cli import main

if __name__ == "__main__":
    main()
