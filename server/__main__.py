"""`python -m server` is the `frontdesk` command."""

from server.cli import main

if __name__ == "__main__":
    main()
