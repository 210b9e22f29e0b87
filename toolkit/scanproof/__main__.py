"""``python -m scanproof`` is the ``scanproof`` command."""

from scanproof.cli import main

if __name__ == "__main__":
    main()
