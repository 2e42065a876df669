"""Every command and link of README, CONTRIBUTING and docs/ names what exists. Other tests run the commands."""

import importlib.util
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("beam", "components", "models", "pipeline")
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
BLOCKS = [block for page in PAGES for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)]
COMMANDS = [
    line.split("  #")[0].strip()
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip() and not line.startswith("#")
]
TARGETS = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))

SHARED_FLAGS = {
    "kfp import command": "kfp/command.py",
    "gin_flags": "console/gin_flags.py",
    "output_flag": "console/output_flag.py",
}


def test_there_are_commands():
    assert "make quickstart" in COMMANDS
    assert "make test" in COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_command_exists(command):
    words = [word for word in shlex.split(command) if "=" not in word or word.startswith("--")]
    if words[0] == "make":
        assert set(words[1:]) <= TARGETS
    elif "-m" in words:
        module = words[words.index("-m") + 1]
        if module == "tensorboard.main":
            return
        spec = importlib.util.find_spec(module)
        assert spec is not None
        if spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{module}.__main__")
        source = pathlib.Path(spec.origin).read_text()
        for imported, shared in SHARED_FLAGS.items():
            if imported in source:
                source += (ROOT / "pipeline" / shared).read_text()
        for flag in (word.removeprefix("--").split("=")[0] for word in words if word.startswith("--")):
            assert f'"{flag}"' in source, f"{module} has no flag --{flag}"
    else:
        assert words[0] in {"git", "cd"}, f"unknown command {command!r}"
    for path in re.findall(r"gin/[\w/]+\.gin", command):
        assert (ROOT / path).is_file() or path == "gin/other.gin"


def anchors(page: pathlib.Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for link, anchor in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", page.read_text()):
        target = page.parent / link if link else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to #{anchor} of {target.name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_files_exist(page):
    folders = (*PACKAGES, "docker", "docs", "gin", "requirements", "serving", "tests")
    for path in re.findall(rf"`((?:{'|'.join(folders)})/[\w./-]*)`", page.read_text()):
        assert "NAME" in path or (ROOT / path).exists(), f"{page.name} names {path}"


def test_glossary_is_in_alphabetical_order():
    page = (ROOT / "docs" / "glossary.md").read_text()
    terms = [re.sub(r"[^a-z0-9 ]", "", term.lower()) for term in re.findall(r"^- \*\*(.+?)\*\*", page, re.MULTILINE)]
    assert terms == sorted(terms)
    assert len(terms) == len(set(terms))


@pytest.mark.slow
def test_tensorboard_starts():
    shown = subprocess.run([sys.executable, "-m", "tensorboard.main", "--version_tb"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


LOCKS = ("requirements", "tests/benchmarks/peers")


@pytest.mark.slow
def test_the_lock_is_what_make_lock_resolves(tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("Makefile", "setup.py", "pyproject.toml", "requirements", "tests/benchmarks/peers", *PACKAGES):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / name)
    (copy / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run(["make", "lock"], cwd=copy, check=True)
    locks = [lock.relative_to(ROOT) for part in LOCKS for lock in (ROOT / part).glob("*.txt")]
    assert len(locks) >= 9
    for lock in locks:
        assert (copy / lock).read_text() == (ROOT / lock).read_text(), lock


def test_make_help_lists_every_target():
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"make {target}" in shown for target in TARGETS)


def test_set_up_says_what_is_missing(tmp_path):
    """Without any Python the set-up names it and a way to get it, rather than failing somewhere inside pip."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "dirname", "cat", "ls", "env"):
        found = subprocess.run(["which", tool], capture_output=True, text=True, check=True).stdout.strip()
        (tools / tool).symlink_to(found)
    environment = {"PATH": str(tools), "HOME": str(tmp_path)}
    script = ROOT / "requirements" / "make_venv.sh"
    done = subprocess.run([script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "no Python was found; install Python 3.10 to 3.13" in done.stderr
