"""``python -m chatmock`` is the ``chatmock`` command."""

from chatmock.cli import entry

if __name__ == "__main__":
    entry()
