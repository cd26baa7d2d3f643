"""``python -m enm5310`` is the command ``enm5310``."""

from enm5310.cli import main

if __name__ == "__main__":
    main()
