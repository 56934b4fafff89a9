# SPDX-License-Identifier: MIT
"""Lint's own checks say nothing of this tree, and find what is wrong in one like it."""

import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINT = ROOT / "tests/lint"


def says(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stdout) and not done.stderr, done
    return done.stdout


@pytest.fixture(name="tree")
def a_tree(tmp_path):
    """The sources alone, as git would take them."""
    for path in ROOT.glob("*/**/*.[ch]"):
        if not path.relative_to(ROOT).parts[0] in ("build", "tests"):
            to = tmp_path / path.relative_to(ROOT)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    (tmp_path / "docs").mkdir()
    for name in "rooms.txt", "architecture.md":
        shutil.copy(ROOT / "docs" / name, tmp_path / "docs")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def add(path, text):
    path.write_text(path.read_text() + text)


def rooms(tree):
    return says(LINT / "rooms", tree).splitlines()


def test_rooms_of_this_tree(tree):
    assert rooms(tree) == []


@pytest.mark.parametrize("room,file,header", [
    ("proxy/session", "up.c", "proxy/host/domain.h"),
    ("migration/format", "libxl_reader.c", "migration/wire.h")])
def test_a_wrong_direction(tree, room, file, header):
    add(tree / room / file, f'#include "{header}"\n')
    assert f"{room}/{file}: {room} may not include {header} (docs/rooms.txt)" in rooms(tree)


def test_a_new_circle(tree):
    add(tree / "proxy/session/pool.h", '#include "proxy/session/watch.h"\n')
    assert any(line.startswith("in a circle, which docs/rooms.txt does not name: ") and
               "proxy/session/pool" in line for line in rooms(tree))


def test_a_room_without_rules(tree):
    (tree / "attic").mkdir()
    (tree / "attic/old.c").write_text("")
    assert rooms(tree) == ["docs/rooms.txt: says nothing of attic"]


def test_rules_that_are_not_shown(tree):
    add(tree / "docs/rooms.txt", "attic:\n")
    assert rooms(tree) == ["docs/architecture.md: does not show docs/rooms.txt as it is"]


def comments(tree):
    return says(LINT / "comments", tree).splitlines()


def test_comments_of_this_tree(tree):
    assert comments(tree) == []


@pytest.mark.parametrize("comment,complaint", [
    ("/** loop_dance() - in circles. @turns: how many. Return: 0 or -EINVAL. */", None),
    ("/**\n * loop_dance() - in circles.\n * @loop, @turns: @whose\n *\n * Return: 0\n */", None),
    ("/* --- dances */\n", None),
    ("/* In circles. */", 'is to begin with "/** loop_dance() - " (kernel-doc)'),
    ("/** loop_jump() - up. */", 'is to begin with "/** loop_dance() - " (kernel-doc)'),
    ("/**\n * loop_dance() - in circles.\n * @speed: in m/s\n */",
     "loop_dance() has no parameter speed"),
    ("/** loop_dance() - in circles. Returns 0. */", '"Return:" instead of "Returns"')])
def test_comments(tree, comment, complaint):
    path = tree / "proxy/loop.h"
    line = path.read_text().count("\n") + 1
    add(path, f"{comment}\nint loop_dance(struct loop *loop,\n\t       uint32_t turns);\n")
    assert comments(tree) == ([f"proxy/loop.h:{line}: {complaint}"] if complaint else [])


def test_comments_of_static_functions(tree):
    add(tree / "proxy/loop.c", "/* Twice. Returns 0. */\nstatic int twice(void);\n")
    assert len(comments(tree)) == 1


def test_sizes(tmp_path):
    path = tmp_path / "file.c"
    path.write_text("int f(void)\n{\n" + 60 * "\t;\n" + "}\n")
    assert says(LINT / "sizes", path) == ""
    path.write_text("int f(void)\n{\n" + 61 * "\t;\n" + "}\n")
    assert says(LINT / "sizes", path) == f"{path}:1: a function of 61 lines, more than 60\n"
    path.write_text(501 * "\n")
    assert says(LINT / "sizes", path) == f"{path}: has 501 lines, more than 500\n"
