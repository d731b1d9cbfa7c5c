"""Failures: how a command that cannot do its work ends.

====  =======================================================================================
code  meaning
====  =======================================================================================
0     done
1     done, and the answer is no: a command was rejected, doctor found something, totals are off
2     the command line is wrong
3     it cannot be done now: settings, declaration, engine, cluster or database; the line says what to do
70    an error of kafold's own: `--debug` shows where
130   Ctrl-C
====  =======================================================================================
"""

from rich.markup import escape

NO = 1
CANNOT = 3
BUG = 70
INTERRUPTED = 130


def report(error: Exception) -> int:
    """Print one line about an error, and return the exit code."""
    from infra.cli.console import ERR

    line, code = explain(error)
    ERR.print(f"[bold red]error:[/bold red] {escape(line)}")
    return code


def explain(error: Exception) -> tuple[str, int]:
    """Return an error as a line, and the exit code that it means."""
    import psycopg
    from confluent_kafka import KafkaException

    from infra.engines.errors import EngineError
    from infra.settings import SettingsError
    from schemas.errors import KafoldError

    if isinstance(error, (KafoldError, SettingsError, EngineError)):
        return str(error), CANNOT
    if isinstance(error, KafkaException):
        return f"Kafka: {error.args[0].str()}. Is it running? `kafold doctor` looks into it.", CANNOT
    if isinstance(error, psycopg.Error):
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return f"PostgreSQL: {first}. Is it running? `kafold doctor` looks into it.", CANNOT
    return f"{type(error).__name__}: {error} (an error of kafold's own: run it again with --debug)", BUG
