"""What a verb raises when it cannot do what it was asked."""

from __future__ import annotations

from typing import Final

EX_FAILED: Final = 1
EX_UNAVAILABLE: Final = 69


def leave(status: int) -> None:
    """End a verb with this exit status."""
    if status:
        import typer

        raise typer.Exit(status)


class CommandError(Exception):
    """One line for a person (`str()`) and the exit status of the command."""

    def __init__(self, message: str, status: int = EX_FAILED) -> None:
        super().__init__(message)
        self.status = status


class RequestRefused(CommandError):
    """The control API said no."""

    def __init__(self, message: str, http_status: int) -> None:
        super().__init__(f"{message} (HTTP {http_status})")
        self.http_status = http_status


class Unavailable(CommandError):
    """Nothing answers where the answer should come from."""

    def __init__(self, message: str) -> None:
        super().__init__(message, EX_UNAVAILABLE)
