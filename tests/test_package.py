"""The package as it is shipped: what the wheel holds, what an import costs, and what may not lie around.

The wheel is built once, from a copy of the tree, so that nothing left over in a `build` folder can hide a missing file.
"""

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import textgym

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "textgym": "src/textgym",  # without what its links lead to: rglob does not follow them
    "textgym/envs": "envs",
    "textgym/agents": "agents",
    "textgym/wrappers": "wrappers",
}
HEAVY = ("torch", "transformers", "stable_baselines3", "accelerate", "matplotlib", "tyro", "rich", "tensorboard")


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def files_of_the_folders(pattern: str) -> set[str]:
    """The files of the package as the repository has them, named as the wheel should name them."""
    return {
        f"{package}/{path.relative_to(ROOT / folder).as_posix()}"
        for package, folder in FOLDERS.items()
        for path in (ROOT / folder).rglob(pattern)
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    tmp = tmp_path_factory.mktemp("wheel")
    tree = tmp / "tree"
    ignored = shutil.ignore_patterns("__pycache__")
    for folder in ("src", "envs", "agents", "wrappers"):
        shutil.copytree(ROOT / folder, tree / folder, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    result = subprocess.run([*command, "-w", str(tmp), str(tree)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return zipfile.ZipFile(next(tmp.glob("*.whl")))


def test_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    """A sub-package without its line in pyproject.toml's `packages` is missing here."""
    assert {name for name in wheel.namelist() if name.endswith(".py")} == files_of_the_folders("*.py")


def test_wheel_holds_the_data(wheel: zipfile.ZipFile) -> None:
    tiny = {f"textgym/agents/tiny/{path.name}" for path in (ROOT / "agents/tiny").glob("*") if path.is_file()}
    data = {"textgym/py.typed"} | tiny | files_of_the_folders("*.jsonl") | files_of_the_folders("bbh_tasks/*.json")
    data |= files_of_the_folders("labelling/static/*") | files_of_the_folders("labelling/templates/*")
    data |= files_of_the_folders("report/templates/*")
    assert data <= set(wheel.namelist())


def test_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    dist_info = f"textgym-{textgym.__version__}.dist-info"
    assert {name.split("/")[0] for name in wheel.namelist()} == {"textgym", dist_info}


def test_constraints_pin_every_dependency(wheel: zipfile.ZipFile) -> None:
    """Each requirement has a pin inside its range; no install can pull what was not tested."""
    metadata = Parser().parsestr(wheel.read(f"textgym-{textgym.__version__}.dist-info/METADATA").decode())
    needed = [Requirement(line) for line in metadata.get_all("Requires-Dist")]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    for python in ("3.10", "3.11", "3.12", "3.13"):
        pinned = {
            canonicalize_name(pin.name): next(iter(pin.specifier)).version
            for pin in pins
            if pin.marker is None or pin.marker.evaluate({"python_version": python})
        }
        for requirement in needed:
            if requirement.name != "textgym":
                assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, (python, requirement)


def test_every_folder_is_a_package() -> None:
    modules = {path for folder in FOLDERS.values() for path in (ROOT / folder).rglob("*.py")}
    assert [path for path in modules if not (path.parent / "__init__.py").is_file()] == []


def test_import_is_fast() -> None:
    """Half a second with numpy and gymnasium, best of three."""
    code = "import time; start = time.perf_counter(); import textgym; print(time.perf_counter() - start)"
    assert min(float(run(code)) for _ in range(3)) < 0.5


def test_import_is_light() -> None:
    assert run(f"import textgym; print([name for name in {HEAVY!r} if name in sys.modules])") == "[]"


def test_modules_have_one_name() -> None:
    """`import envs` in the root would make a second copy of every class; by now every test module is imported."""
    assert {"envs", "agents", "wrappers"} & set(sys.modules) == set()


def test_root_holds_no_module() -> None:
    assert list(ROOT.glob("*.py")) == []
