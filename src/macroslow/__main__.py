"""`python -m macroslow` is the command line."""

from macroslow.cli import main

if __name__ == "__main__":
    main()
