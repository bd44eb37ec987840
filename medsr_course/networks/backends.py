"""Each backend of Keras in a process of its own: a process can have one only, chosen before Keras is loaded.

A function is sent as its source text, with the functions of the same notebook that it calls; data are its arguments.
Nothing here loads a framework in the process that asks.
"""

import base64
import contextlib
import inspect
import io
import os
import textwrap
import traceback
from collections.abc import Callable, Collection
from importlib.util import find_spec
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from medsr_course import runtime
from medsr_course.workers.processes import Process

NAMES = ("tensorflow", "jax", "torch")


class Backend:
    """A process in which Keras runs on one backend, until :meth:`end` or the end of this process.

    Parameters
    ----------
    name : {"tensorflow", "jax", "torch"}
    seconds : float
        How long an answer may take.
    """

    def __init__(self, name: str, seconds: float = 600) -> None:
        self.name, self._seconds = name, seconds
        self._process, self._ready = Process(cpus=runtime.cpu_count()), False
        self._process.give(settle, name)  # while others start, too

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns what a function answers there; what it prints is printed here.

        Parameters
        ----------
        function : function
            Of plain Python, NumPy as ``np``; it imports its framework itself. Functions of the same module that it
            calls go with it, other names do not.
        *arguments
            Arrays, numbers, strings, and lists, tuples and dicts of them. The answer is made of the same (tuples come
            back as lists).

        Raises
        ------
        CourseError
            If the function fails there, with the last line of what Python said, or if the process ends.
        TimeoutError
            If it takes longer than ``seconds``.
        """
        self._ready = self._ready or self._process.answer(self._seconds)
        self._process.give(evaluate, with_helpers(function), function.__name__, arguments)
        answer = self._process.answer(self._seconds)
        if answer is None:
            raise runtime.CourseError(f"the process of {self.name} has ended: is there memory left? Restart the kernel")
        print(answer["printed"], end="")
        if "error" in answer:
            raise runtime.CourseError(f"{function.__name__} on {self.name}: {answer['error']}")
        return _unpacked(answer["value"])

    def end(self) -> None:
        """Ends the process, and gives its memory back."""
        self._process.end()


def start(names: Collection[str] = NAMES) -> dict[str, Backend]:
    """Starts a process for each of these backends that is installed here: name → backend."""
    return {name: Backend(name) for name in installed() if name in names}


def installed() -> list[str]:
    """Returns which backends are installed here."""
    return [name for name in NAMES if find_spec(name)]


def with_helpers(function: Callable[..., Any]) -> str:
    """Returns the source text of a function, after that of the functions of its module that it calls."""
    found: dict[str, str] = {}

    def add(one: FunctionType) -> None:
        for name in _names(one.__code__):
            helper = one.__globals__.get(name)
            if isinstance(helper, FunctionType) and helper.__module__ == one.__module__ and name not in found:
                found[name] = ""  # one that calls itself
                add(helper)
        found[one.__name__] = textwrap.dedent(inspect.getsource(one))

    assert isinstance(function, FunctionType)
    add(function)
    return "\n".join(found.values())


def _names(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def settle(backend: str) -> bool:
    """Loads Keras on this backend, silently, with 64-bit numbers for those who ask for them."""
    os.environ |= {"KERAS_BACKEND": backend, "JAX_ENABLE_X64": "1"}
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)  # compiled libraries write there; what goes wrong is told in the answers
    with contextlib.suppress(runtime.CourseError):  # the first function that needs Keras says so
        import medsr_course.networks.framework  # noqa: F401
    return True


def evaluate(source: str, name: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Runs a function in this process: what :class:`Backend` has its process do.

    Returns
    -------
    dict
        ``printed``, and ``value`` or ``error``.
    """
    space: dict[str, Any] = {"np": np}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(source, f"<{name}>", "exec"), space)
            value = space[name](*arguments)
        return {"printed": printed.getvalue(), "value": _packed(value)}
    except Exception:
        return {"printed": printed.getvalue(), "error": traceback.format_exc().strip().splitlines()[-1]}


def _packed(value: Any) -> Any:
    if isinstance(value, dict):
        return {"dict": [[key, _packed(part)] for key, part in value.items()]}
    if isinstance(value, list | tuple):
        return [_packed(part) for part in value]
    if isinstance(value, np.ndarray | np.generic):
        file = io.BytesIO()
        np.save(file, np.asarray(value), allow_pickle=False)
        return {"array": base64.b64encode(file.getvalue()).decode()}
    return value


def _unpacked(value: Any) -> Any:
    if isinstance(value, list):
        return [_unpacked(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return np.load(io.BytesIO(base64.b64decode(value["array"])), allow_pickle=False)
    return {key: _unpacked(part) for key, part in value["dict"]}
