"""``python -m nvscope.cli``: the same command where the script is not on the path."""

from nvscope.cli import main

if __name__ == "__main__":
    main()
