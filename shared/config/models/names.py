"""String forms that several configuration files share, with the words that describe them."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import StringConstraints

# The lengths are those of the name fields in the segment (layout.h, core.h).
SHORT_NAME_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,30}$"
NAME_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_.-]{0,46}$"
TASK_ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,54}$"
TASK_PATTERN_PATTERN: Final = r"^[A-Za-z0-9_.?*-]{1,55}$"
TOPIC_PATTERN_PATTERN: Final = r"^[A-Za-z0-9_.?*-]{1,47}$"
INSTANCE_PATTERN: Final = r"^[a-z0-9][a-z0-9_.-]{0,31}$"
DIRECTORY_PATTERN: Final = r"^(/|~/|~$)"

PATTERN_WORDS: Final = {
    SHORT_NAME_PATTERN: (
        "a name of at most 31 letters, digits, '_', '.', '-' that begins with a letter"
    ),
    NAME_PATTERN: "a name of at most 47 letters, digits, '_', '.', '-' that begins with a letter",
    TASK_ID_PATTERN: (
        "an id of at most 55 letters, digits, '_', '.', '-' that begins with a letter or digit"
    ),
    TASK_PATTERN_PATTERN: (
        "a pattern of at most 55 letters, digits, '_', '.', '-' with '*' (any text) or '?' "
        "(any character) in it"
    ),
    TOPIC_PATTERN_PATTERN: (
        "a topic of at most 47 letters, digits, '_', '.', '-', with '*' (any text) or '?' "
        "(any character) in it where several are meant"
    ),
    INSTANCE_PATTERN: (
        "a name of at most 32 lower-case letters, digits, '_', '.', '-' that begins with a "
        "letter or digit"
    ),
    DIRECTORY_PATTERN: "an absolute path, or one that begins with ~/",
}

ShortName = Annotated[str, StringConstraints(pattern=SHORT_NAME_PATTERN)]
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
TaskId = Annotated[str, StringConstraints(pattern=TASK_ID_PATTERN)]
TaskPattern = Annotated[str, StringConstraints(pattern=TASK_PATTERN_PATTERN)]
TopicPattern = Annotated[str, StringConstraints(pattern=TOPIC_PATTERN_PATTERN)]
InstanceName = Annotated[str, StringConstraints(pattern=INSTANCE_PATTERN)]
DirectoryPath = Annotated[str, StringConstraints(pattern=DIRECTORY_PATTERN, max_length=1024)]
