"""The four packages form a star: what each may import, in the source and in a process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("ecg", "model", "simulators", "stream")
WITH_DEVICES = ("stream.commands.services", "stream.demo", "stream.bench", "stream.evaluate.standards")
PURE = ("stream.pipeline", "stream.analyze", "stream.evaluate", "stream.exported")
SERVERS = ("faust", "aiokafka", "redis")
OF_ECG = ("numpy", "scipy", "pywt", "msgspec", "numba", "safetensors")
IMPURE = ("asyncio", "http", "multiprocessing", "random", "secrets", "socket", "ssl", "subprocess", "time", "urllib")


def _modules(package: str) -> dict[str, Path]:
    """Give the modules of a package, in sub-packages too, by their dotted names."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {name: path for package in OURS for name, path in _modules(package).items()}


def _imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Yield what a module imports, and whether it does so when it is itself imported."""
    tree = ast.parse(path.read_text())
    inside = {id(node) for scope in ast.walk(tree) if _is_late(scope) for node in ast.walk(scope)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield name.name, id(node) not in inside
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            yield from ((f"{node.module}.{name.name}", id(node) not in inside) for name in node.names)


def _is_late(node: ast.AST) -> bool:
    """Whether what lies in a node is not run on import: functions, and what is for the type checker alone."""
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _ours(module: str) -> set[str]:
    return {_top(name) for name, _ in _imports(MODULES[module]) if _top(name) in OURS}


def test_all_four_packages_and_the_pure_modules_are_there() -> None:
    assert {_top(name) for name in MODULES} == set(OURS)
    assert set(PURE) <= set(MODULES)


@pytest.mark.parametrize("module", [name for name in MODULES if _top(name) == "ecg"])
def test_ecg_imports_arrays_and_rules_alone(module: str) -> None:
    allowed = {"ecg", *OF_ECG, *sys.stdlib_module_names} - set(IMPURE)
    for name, at_import in _imports(MODULES[module]):
        if _top(name) == "wfdb":
            assert module == "ecg.record", "ecg.record alone imports wfdb"
            assert not at_import, "ecg.record imports wfdb lazily"
        else:
            assert _top(name) in allowed, f"{module} imports {name}"


@pytest.mark.parametrize("module", [name for name in MODULES if _top(name) in ("model", "simulators")])
def test_model_and_simulators_import_ecg_and_themselves(module: str) -> None:
    assert _ours(module) <= {"ecg", _top(module)}


@pytest.mark.parametrize("module", [name for name in MODULES if _top(name) == "stream"])
def test_stream_imports_simulators_only_where_devices_are_played(module: str) -> None:
    assert _ours(module) <= {"ecg", "model", "stream"} or module.startswith(WITH_DEVICES)


@pytest.mark.parametrize("package", OURS)
def test_a_package_holds_a_docstring_only(package: str) -> None:
    (only,) = ast.parse((ROOT / package / "__init__.py").read_text()).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)


def _loaded(modules: list[str]) -> set[str]:
    """Give the top-level modules that a fresh process holds after these imports."""
    program = f"import sys\nfor m in {modules!r}: __import__(m)\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_the_core_loads_no_server_client_no_torch_and_no_wfdb() -> None:
    loaded = _loaded([name for name in MODULES if _top(name) == "ecg"])
    assert "ecg" in loaded
    assert not loaded & {*SERVERS, "torch", "wfdb", "model", "simulators", "stream"}


def test_the_pipeline_analysis_and_evaluation_load_no_server_client() -> None:
    loaded = _loaded([name for name in MODULES if name in PURE or name.startswith("stream.evaluate.")])
    assert "stream" in loaded
    assert not loaded & set(SERVERS)
