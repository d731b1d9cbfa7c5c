"""The command line: one module a command; `main.py` puts them together.

Promises: each command imports what it needs when it runs, so that `kafold --help` answers at once; an error is one line
that says what to do next; exit codes are those of `infra/cli/failures.py`.
"""
