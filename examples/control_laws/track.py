"""How well do the laws of this folder follow a move? In C and in Python, on a joint with friction.

    python track.py [--plot tracking.png]

Compiles each law, runs it at 1 kHz against a double integrator with damping (inertia 1 kg m^2,
0.5 N m s/rad, and Coulomb friction of 2 N m that no law knows of) along a minimum-jerk move of
1.5 rad in 1 s, and prints root mean square, greatest and last tracking error.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.core import ERROR_BYTES, error_buffer, ffi, lib, to_text
from shared.resources import resource_path

HERE = Path(__file__).resolve().parent
DT, MOVE_S, END_S, DISTANCE = 0.001, 1.0, 2.0, 1.5
INERTIA, DAMPING, FRICTION = 1.0, 0.5, 2.0
LAWS: dict[str, list[float]] = {"joint_pid": [400, 800, 40, 20], "impedance": [400, 40, 1]}
Doubles = NDArray[np.float64]


def from_c(name: str, folder: Path) -> Any:
    """A struct mxrc_law * out of NAME.c."""
    library = folder / f"{name}.so"
    include = resource_path("cffi_build/include/mxrc/law.h").parents[1]
    options = ["-std=c11", "-O2", "-fPIC", "-shared", f"-I{include}"]
    subprocess.run(["cc", *options, str(HERE / f"{name}.c"), "-o", str(library), "-lm"], check=True)
    library.chmod(0o755)
    error, law = error_buffer(), ffi.new("const struct mxrc_law **")
    if lib.mxrc_law_load(str(library).encode(), name.encode(), law, error, ERROR_BYTES):
        raise SystemExit(to_text(error))
    return law[0]


def from_python(name: str) -> Any:
    """A law compiled by numba out of NAME.py."""
    sys.path.insert(0, str(HERE))
    module = __import__(name)
    return getattr(module, name).compile()


def set_point(time_s: float) -> tuple[float, float, float]:
    """Minimum jerk (Flash and Hogan 1985): position rad, velocity rad/s, acceleration rad/s^2."""
    u = min(time_s / MOVE_S, 1.0)
    return (
        DISTANCE * u**3 * (10 - 15 * u + 6 * u**2),
        DISTANCE / MOVE_S * u**2 * (30 - 60 * u + 30 * u**2),
        DISTANCE / MOVE_S**2 * u * (60 - 180 * u + 120 * u**2),
    )


def track(law: Any, parameters: list[float]) -> Doubles:
    """Tracking error in rad, a value per period."""
    state = ffi.new("double[]", 128)
    numbers, command = ffi.new("double[]", parameters), ffi.new("double[8]")
    inputs = ffi.new("struct mxrc_law_input *", {"axes": 1, "dt": DT})
    if law.init(state, numbers, 1, DT):
        raise SystemExit("the law refuses its parameters")
    law.reset(state, numbers, inputs)
    errors, position, velocity = [], 0.0, 0.0
    for cycle in range(round(END_S / DT)):
        inputs.cycle = cycle
        inputs.position[0], inputs.velocity[0] = position, velocity
        wanted = set_point(cycle * DT)
        inputs.setpoint[0], inputs.setpoint_velocity[0], inputs.setpoint_acceleration[0] = wanted
        if law.step(state, numbers, inputs, command):
            raise SystemExit("the law reports an error")
        errors.append(wanted[0] - position)
        friction = FRICTION * np.tanh(velocity / 0.01)
        velocity += (command[0] - DAMPING * velocity - friction) / INERTIA * DT
        position += velocity * DT
    return np.array(errors)


def plot(errors: dict[str, Doubles], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 4))
    for label, error in errors.items():
        style = "--" if label.endswith("python") else "-"
        axis.plot(np.arange(len(error)) * DT, error * 1e3, style, label=label)
    axis.set_xlabel("time / s")
    axis.set_ylabel("tracking error / mrad")
    axis.legend()
    figure.tight_layout()
    figure.savefig(path)
    print(f"wrote {path}")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--plot", type=Path, metavar="PNG")
    options = parser.parse_args()
    errors: dict[str, Doubles] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, parameters in LAWS.items():
            errors[f"{name}, C"] = track(from_c(name, Path(folder)), parameters)
            compiled = from_python(name)
            errors[f"{name}, python"] = track(compiled.raw, parameters)
    print(f"{'tracking error / mrad':24}{'rms':>8}{'max':>8}{'end':>8}")
    for label, error in errors.items():
        rms, most = np.sqrt(np.mean(error**2)), np.abs(error).max()
        print(f"{label:24}{rms * 1e3:8.3f}{most * 1e3:8.3f}{error[-1] * 1e3:8.3f}")
    if options.plot is not None:
        plot(errors, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
