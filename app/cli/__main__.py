"""`python -m app.cli` is `inferwatch`."""

from app.cli.main import main

if __name__ == "__main__":
    main()
