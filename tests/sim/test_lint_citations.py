# SPDX-License-Identifier: MIT
"""tests/lint/citations says nothing of this tree, and finds each kind of reference to nothing."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

RIGHT = {
    "docs/how.md": "# How it works\n\n## Why it is `right`\n\n```\n# None\n```\n"
                   "1. **One copy.** It is made\n"
                   "   once ([what](#why-it-is-right), \"One copy\", above).\n",
    "README.md": "Read [this](docs/how.md#how-it-works), `docs/how.md`, \"One copy\", and\n"
                 "<https://example.org/docs/other.md>. `proxy/up.c` and `up.c` exist.\n"
                 "`proxy/up.c` (`up_step()`), `up.c`\n(`up_step`), `up.c`, `up_step()`, `up.c` "
                 "(`UP`).\n",
    "proxy/up.c": "/*\n * Called by proxy/up, see docs/how.md, \"Why it\n * is right\" and \"One\n"
                  " * copy\"; proxy/*.c, proxy/NAME.c.\n */\n#include <stdio.h>\n"
                  "#define UP(n) (n)\nstatic struct up *up_step(void)\n{\n\tup_more(1);\n}\n",
    "run.py": "# Runs /usr/share/doc/it/how.md and f\"proxy/{name}.c\".\n",
}


def says(tmp_path, files):
    """What it says of a tree of @files."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    done = subprocess.run([ROOT / "tests/lint/citations", tmp_path], capture_output=True, text=True,
                          check=False)
    assert not done.stderr and done.returncode == (1 if done.stdout else 0)
    return done.stdout.splitlines()


def test_nothing_wrong(tmp_path):
    assert says(tmp_path, RIGHT) == []


@pytest.mark.parametrize("path, text, fault", [
    ("a.c", "/* docs/when.md says. */\n", "a.c:1: there is no document docs/when.md"),
    ("a.c", "/* how.md says. */\n", "a.c:1: there is no document how.md"),
    ("a.c", "/*\n * See docs/how.md, \"Why it\n * is wrong\".\n */\n",
     "a.c:2: docs/how.md has no heading \"Why it is wrong\""),
    ("a.py", "\n# docs/how.md, \"One copy\" and\n# \"Two copies\".\n",
     "a.py:2: docs/how.md has no heading \"Two copies\""),
    ("b.md", "`docs/how.md`, \"Two\"\n", "b.md:1: docs/how.md has no heading \"Two\""),
    ("b.md", "`docs/how.md`, \"None\"\n", "b.md:1: docs/how.md has no heading \"None\""),
    ("b.md", "\nas said (\"One copy\", below)\n", "b.md:2: b.md has no heading \"One copy\""),
    ("b.md", "[b](docs/up.txt)\n", "b.md:1: a link to docs/up.txt, which is not there"),
    ("b.md", "[b](docs/how.md#two)\n", "b.md:1: a link to docs/how.md#two, which is no heading"),
    ("a.c", "/* Called by\n * proxy/down.c. */\n", "a.c:2: there is no proxy/down.c"),
    ("a.c", "/* Called by down.c */\n", "a.c:1: there is no file down.c"),
    ("b.md", "\n`proxy/up.c` (`down_step()`)\n", "b.md:2: there is no down_step() in proxy/up.c"),
    ("b.md", "`up.c`\n(`step`)\n", "b.md:1: there is no step() in up.c"),
    ("b.md", "`up.c`, `up_more()`\n", "b.md:1: there is no up_more() in up.c"),
    ("a.sh", "# as rule 5 has it\n", "a.sh:1: \"rule 5\" leads out"),
    ("a.sh", "# ../" + "shared" + "/notes\n", "a.sh:1: \"" + "shared" + "/\" leads out"),
])
def test_wrong(tmp_path, path, text, fault):
    said = says(tmp_path, {**RIGHT, path: text})
    assert any(line.startswith(fault) for line in said), said


def test_notes(tmp_path):
    """Not even if there is such a file."""
    for name in "semantics", "design":
        said = says(tmp_path, {**RIGHT, f"{name}.md": "", "a.c": f"/* {name}.md, \"A\" */\n"})
        assert any(f"\"{name}.md\" leads out" in line for line in said), said


def test_this_tree():
    done = subprocess.run([ROOT / "tests/lint/citations"], capture_output=True, text=True,
                          check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
