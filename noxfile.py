"""Every check of the repository, one session each. `nox -l` lists them, `nox -s NAME` runs one.

Sessions install what a user would install: built packages, never the working tree. `nox -r` keeps their environments.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"  # the first with `nox.project.dependency_groups`
nox.options.default_venv_backend = "virtualenv"  # unlike venv, it needs no ensurepip, which Debian splits off
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent.resolve()
CONSTRAINTS = str(ROOT / "constraints.txt")
PLUGINS = tuple(sorted(file.parent.name for file in ROOT.glob("plugins/*/pyproject.toml")))
SHIPPED = tuple(f"./plugins/{name}" for name in PLUGINS)
PLUGIN_KINDS = ("analyzer", "backend", "detector", "reporter")
PASSED = os.environ.get("AFTERBURN_PASSED", "")
"""File in which `plugin` notes what has passed, so that `tests` need not run it again; without it both run all."""
TEXT_FORMATS = ("json", "html", "md", "junit.xml", "sarif")

# On a host without the model stack these must not even be looked for; the hook makes a stray import an error.
BLOCKED_IMPORTS = ("huggingface_hub", "numpy", "pandas", "peft", "safetensors", "torch", "transformers")


@nox.session
def demo(session: nox.Session) -> None:
    """Compare the shipped model pair; leaves report.html and result.json in afterburn-demo/."""
    install(session, ".[run]", *SHIPPED)
    session.run("afterburn", "demo", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """The whole test suite; arguments after -- go to pytest."""
    share_stack(session)
    install(session, ".[all,oms]", *SHIPPED, *group("test"))
    passed = (f"--leave-out={PASSED}",) if PASSED else ()  # one word: a path of its own would be taken for tests
    session.run("python", "-m", "pytest", "-n", "2", "--dist", "worksteal", *passed, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and import rules."""
    install(session, *group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """mypy, strict, over the core and the plugins."""
    share_stack(session)
    install(session, ".[all]", *SHIPPED, *group("types"), *group("test"))
    session.run("mypy", *session.posargs)


@nox.session
@nox.parametrize("name", PLUGINS, ids=PLUGINS)
def plugin(session: nox.Session, name: str) -> None:
    """One plugin with the core and what it declares, from built wheels: finds undeclared dependencies."""
    share_stack(session)
    wheels = Path(session.create_tmp()).resolve()
    core = build_wheel(session, ROOT, wheels)
    own = [build_wheel(session, ROOT / "plugins" / one, wheels) for one in (name, *needed_plugins(name))]
    install(session, f"{core}[run]", *map(str, own), "pytest", "pytest-xdist", "hypothesis")
    # what is slow is simulation, which the whole suite runs anyhow
    chosen = ("-m", "not slow and not bench", "-n", "2", "--dist", "worksteal")
    kept = (f"--record-passed={PASSED}",) if PASSED else ()
    session.run("python", "-m", "pytest", f"plugins/{name}/tests", *chosen, *kept, *session.posargs)
    session.run("afterburn", "plugin", "check", name)


@nox.session(name="install")
def install_as_documented(session: nox.Session) -> None:
    """The README's commands, in a fresh environment, from a checkout somewhere else."""
    with tempfile.TemporaryDirectory(prefix="afterburn-readme-") as folder:
        checkout = Path(folder, "a checkout")
        copy_checkout(checkout)
        elsewhere = Path(folder, "elsewhere")
        elsewhere.mkdir()
        environment = {"PIP_CONSTRAINT": CONSTRAINTS, "PATH": f"{session.bin}{os.pathsep}{os.environ['PATH']}"}
        for name, where in (("install", checkout), ("use", elsewhere)):
            with session.chdir(where):
                for command in readme_commands(checkout / "README.md", name):
                    session.run("bash", "-euc", command, env=environment, external=True)


@nox.session
def lean(session: nox.Session) -> None:
    """The core without extras, torch blocked: validates, renders and judges stored documents."""
    work = Path(session.create_tmp()).resolve()
    install(session, str(build_wheel(session, ROOT, work)))
    environment = {"PYTHONPATH": str(block_imports(work / "blocked"))}
    session.run("python", "-c", "import sys; import torch", env=environment, success_codes=[1], silent=True)
    for command in (["--help"], ["--version"], ["plugins"], ["plugins", "--json"], ["schema"]):
        session.run("afterburn", *command, env=environment, silent=True)
    documents = sorted(ROOT.glob("schemas/examples/*.json"))
    if not documents:
        session.error("there are no golden documents in schemas/examples")
    for document in documents:
        session.run("afterburn", "validate", str(document), env=environment)
        for suffix in TEXT_FORMATS:
            target = work / f"{document.stem}.{suffix}"
            target.unlink(missing_ok=True)
            session.run("afterburn", "report", str(document), "-o", str(target), env=environment)
            if not target.stat().st_size:
                session.error(f"{target.name} is empty")
    invalid = ROOT / "schemas" / "examples" / "invalid" / "nan.json"
    session.run("afterburn", "validate", str(invalid), env=environment, success_codes=[2])
    # judging needs the plugin that owns the rules, and still no model stack
    install(session, str(build_wheel(session, ROOT / "plugins" / "weight", work)))
    identity = ROOT / "schemas" / "examples" / "1.0-identity.json"
    session.run("afterburn", "judge", str(identity), env=environment)


@nox.session
def scaffold(session: nox.Session) -> None:
    """`afterburn plugin new` of every kind: it builds, installs, and passes its own tests and ours."""
    work = Path(session.create_tmp()).resolve()
    share_stack(session)
    install(session, ".[run]", *SHIPPED, "pytest", "hypothesis")
    for kind in PLUGIN_KINDS:
        name = f"my_{kind}"
        shutil.rmtree(work / kind, ignore_errors=True)
        (work / kind).mkdir()
        with session.chdir(work / kind):
            session.run("afterburn", "plugin", "new", name, "--kind", kind)
            (project,) = (file.parent for file in Path().glob("*/pyproject.toml"))
            install(session, str(build_wheel(session, project.resolve(), work / kind)))
            with session.chdir(project):
                session.run("python", "-m", "pytest")
            session.run("afterburn", "plugin", "check", name)


@nox.session
def schemas(session: nox.Session) -> None:
    """Frozen schemas are unchanged, golden documents validate, the classes mirror the schema."""
    install(session, ".", "pytest", "hypothesis")
    session.run("pytest", *(str(file) for file in sorted(Path("tests").glob("test_result_*.py"))), *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Time and memory, on models of real size that it creates."""
    install(session, ".[all]", *SHIPPED, *group("test"))
    session.run("pytest", "tests/bench", "-m", "bench", "-s", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Some 50 000 mutated certificates, lists, timestamps and PDFs: each accepted or refused with a code. Minutes."""
    install(session, ".[sign,timestamp,pdf]", "hypothesis")
    session.run("python", "tests/certificates/fuzz.py", *session.posargs)


@nox.session
def validation(session: nox.Session) -> None:
    """Every recorded pair with known truth: expected against found. Needs no torch, and has none."""
    install(session, ".[stats]", "./plugins/behaviour", "./plugins/reward_hack")
    session.run("python", "-c", "import torch", success_codes=[1], silent=True)
    session.run("python", "tests/validation/recorded_sets.py", *session.posargs)


@nox.session
def organisms(session: nox.Session) -> None:
    """Rebuild the shipped models, into organisms-rebuilt/ (over an hour on two cores), or `--out DIR --only NAME`."""
    install(session, ".[run]", *SHIPPED)
    session.run("python", "-m", "afterburn_organisms.recipe", *(session.posargs or ("--out", "organisms-rebuilt")))


def group(name: str) -> list[str]:
    """The requirements of a dependency group of the root pyproject.toml."""
    return list(nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), name))


def needed_plugins(name: str) -> tuple[str, ...]:
    """The plugins of this checkout that a plugin says it depends on, or in its extra `test` that its tests do."""
    project = nox.project.load_toml(ROOT / "plugins" / name / "pyproject.toml")["project"]
    stated = [*project["dependencies"], *project.get("optional-dependencies", {}).get("test", ())]
    named = {re.split(r"[<>=!~\[ ]", requirement)[0] for requirement in stated}
    return tuple(other for other in PLUGINS if f"afterburn-{other.replace('_', '-')}" in named)


def install(session: nox.Session, *requirements: str) -> None:
    """Installs under the constraints; modules are compiled when first imported, which is a minute less for torch."""
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    session.install("--no-compile", "-c", CONSTRAINTS, *requirements)


def share_stack(session: nox.Session) -> None:
    """Lets the session see one installation of what `afterburn-core[run]` and pytest need, without Afterburn itself.

    Nearly all the time of installing goes into torch and what it brings, the same in every session. A session still
    installs by itself what only it needs, so an undeclared dependency is still missing.
    """
    if os.name != "posix":
        return
    import fcntl  # not on Windows, where every session installs all it needs

    project = nox.project.load_toml(ROOT / "pyproject.toml")["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["run"]]
    wanted += ["pytest", "pytest-xdist", "hypothesis"]
    home, state = ROOT / ".nox" / "stack", "\n".join([*wanted, Path(CONSTRAINTS).read_text(encoding="utf-8")])
    ready = home / "ready"
    home.parent.mkdir(exist_ok=True)
    with open(home.parent / "stack.lock", "w", encoding="utf-8") as lock:  # sessions may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.is_file() or ready.read_text(encoding="utf-8") != state:
            shutil.rmtree(home, ignore_errors=True)
            session.install("--quiet", "virtualenv")
            session.run("python", "-m", "virtualenv", "--quiet", str(home))
            pip = ("-m", "pip", "install", "--quiet", "--no-compile", "-c", CONSTRAINTS)
            session.run(str(home / "bin" / "python"), *pip, *wanted, external=True)
            ready.write_text(state, encoding="utf-8")
    found = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    own = session.run("python", "-c", found, silent=True)
    (shared,) = home.glob("lib/python*/site-packages")
    Path(str(own).strip(), "stack.pth").write_text(f"{shared}\n", encoding="utf-8")


def build_wheel(session: nox.Session, project: Path, folder: Path) -> Path:
    """Builds the wheel of one project, without what it depends on."""
    session.run("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(project))
    return max(folder.glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime)


def copy_checkout(destination: Path) -> None:
    """Copies what git tracks, or would: no build leftovers, no environments."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (destination / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, destination / name)


def readme_commands(readme: Path, name: str) -> Sequence[str]:
    """The fenced blocks that follow `<!-- run: NAME -->` in the README, one command line each."""
    pattern = rf"<!-- run: {re.escape(name)} -->\s*```bash\n(.*?)```"
    blocks = re.findall(pattern, readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    if not blocks:
        raise ValueError(f"{readme.name} has no block marked <!-- run: {name} -->")
    joined = "".join(blocks).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def block_imports(folder: Path) -> Path:
    """Writes a `sitecustomize` that refuses the model stack, for PYTHONPATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import sys\n\n\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {json.dumps(BLOCKED_IMPORTS)}:\n"
        "            raise ImportError(f'{name} is blocked')\n\n\n"
        "sys.meta_path.insert(0, Blocked())\n",
        encoding="utf-8",
    )
    return folder
