"""`python -m linkrouter`: the command line, also where its script is not on the path."""

from linkrouter.cli import main

if __name__ == "__main__":
    main()
