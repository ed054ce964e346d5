"""From a task definition to the program that the executive runs.

`compile_task` for a start in a generation; `compile_document` from JSON text, without one.
"""

from __future__ import annotations

from shared.program.actions import Intern
from shared.program.builder import MAX_OPS
from shared.program.compiler import MAX_ACTIONS, Program, check_name, compile_task, renamed
from shared.program.document import Compiled, compile_document
from shared.program.errors import ProgramError

__all__ = [
    "MAX_ACTIONS",
    "MAX_OPS",
    "Compiled",
    "Intern",
    "Program",
    "ProgramError",
    "check_name",
    "compile_document",
    "compile_task",
    "renamed",
]
