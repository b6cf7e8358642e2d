"""The ``willis`` command: the only file that knows every room."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from willis.cli.main import app

    app()


if __name__ == "__main__":
    main()
