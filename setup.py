"""What pyproject.toml cannot say: the C extension, the abi3 wheel tag and the data files.

Environment:
    MXRC_WERROR=1    compiler warnings are errors (the Makefile sets it; an installation must not
                     fail because a newer compiler knows a new warning)
    MXRC_SKIP_EXT=1  leave the extension out (`make venv`: `make build` makes it afterwards)
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent

# Files the programs read at run time that live outside of the import packages. A wheel carries them
# under shared/data with the path they have in the tree; shared/resources.py finds them either way.
RESOURCES = (
    "config/**/*.json",
    "config/elasticsearch/setup.sh",
    "config/filebeat/*",
    "config/fluent-bit/*",
    "config/kibana/*",
    "config/rsyslog/*",
    "cffi_build/include/mxrc/*.def",
    "cffi_build/include/mxrc/layout.h",
    "cffi_build/include/mxrc/law.h",
    "cffi_build/include/mxrc/process_image.h",
    "systemd/*",
)


# For the core's own sources; the C file that cffi writes around them could not pass.
STRICT = ["-Wall", "-Wextra", "-Wpedantic"]


class BuildExt(build_ext):
    """build_ext that compiles the core's own sources with STRICT warnings."""

    def build_extensions(self) -> None:
        strict = [*STRICT, "-Werror"] if os.environ.get("MXRC_WERROR") == "1" else STRICT
        compile_one = self.compiler._compile

        def compile_strictly(
            obj: str, src: str, ext: str, cc_args: list[str], postargs: list[str], macros: list[str]
        ) -> None:
            ours = Path(src).parts[0] == "cffi_build"
            compile_one(obj, src, ext, cc_args, [*postargs, *(strict if ours else [])], macros)

        self.compiler._compile = compile_strictly
        super().build_extensions()


class BuildPy(build_py):
    """build_py that adds RESOURCES to the wheel."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        data = Path(self.build_lib) / "shared" / "data"
        shutil.rmtree(data, ignore_errors=True)
        for pattern in RESOURCES:
            for source in sorted(ROOT.glob(pattern)):
                target = data / source.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                target.chmod(0o644)


options: dict[str, Any] = {
    "cmdclass": {"build_ext": BuildExt, "build_py": BuildPy},
    "options": {"bdist_wheel": {"py_limited_api": "cp310"}},
}
if os.environ.get("MXRC_SKIP_EXT") != "1":
    options["cffi_modules"] = ["cffi_build/build_core.py:ffibuilder"]

setup(**options)
