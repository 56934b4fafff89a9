# SPDX-License-Identifier: MIT
"""tools/generate: this tree has what its lists say; a line that is added there comes everywhere."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MADE = ("docs/protocol.md", "share/bash-completion/xsproxyctl", "share/wireshark/xenstore.lua")
LISTS = ("protocol/requests.def", "protocol/counters.def")
REQUEST = '''OURS(0x1ff, GET_DOMAIN_MOOD, get_domain_mood, TOOLSTACK,
     "get-domain-mood", "<domid> [<day>]",
     "ww", "<domid>|<day>|",
     "w*", "good| or bad| (it depends)")
'''
UNSAID = f"{MADE[0]} has no paragraph about GET_DOMAIN_MOOD; write it"
COUNTER = '''COUNTER(yawns, OCTET, 99, 5, "YWN/s", "yawns", "%s",
	"yawns_total", "Yawns (of guests).", SAME)
'''


@pytest.fixture(name="tree")
def a_tree(tmp_path):
    for path in (*MADE, *LISTS, "tools/generate", "tools/lists.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def generate(tree, *args):
    """Exit status and what it said."""
    done = subprocess.run([tree / "tools/generate", *args], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout + done.stderr


def insert(path, entry, before):
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, entry + before))


def test_this_tree(tree):
    assert generate(tree, "--check") == (0, "")
    before = [(tree / path).read_text() for path in MADE]
    assert generate(tree) == (0, "")
    assert [(tree / path).read_text() for path in MADE] == before


def test_a_request_that_is_added(tree):
    insert(tree / "protocol/requests.def", REQUEST, "\n#undef XEN\n")
    status, said = generate(tree, "--check")
    assert status == 1
    assert said.splitlines() == [
        *(f"{path} is not what protocol/*.def says; run make generate" for path in MADE), UNSAID]
    # Nobody but its author can write what it does.
    assert generate(tree) == (0, "") and generate(tree, "--check") == (1, f"{UNSAID}\n")
    insert(tree / MADE[0], "**GET_DOMAIN_MOOD** asks.\n\n", "## By CONTROL\n")
    assert generate(tree, "--check") == (0, "")
    protocol, bash, lua = [(tree / path).read_text() for path in MADE]
    assert (r"| 0x1ff | GET_DOMAIN_MOOD | toolstack | `<domid>\|<day>\|` "
            r"| `good\|` or `bad\|` (it depends) |"
            "\n<!-- end of requests -->") in protocol
    assert "\n    xenstore-control get-domain-mood 7 [DAY]\n" in protocol
    assert re.search(r'\sGET_DOMAIN_MOOD\s+UNKNOWN"\n', bash)
    assert '\t[0x1ff] = { "GET_DOMAIN_MOOD", "ww", "w*" },\n' in lua
    # Nobody can ask for what only xenstored says.
    assert "WATCH_EVENT" not in bash and "WATCH_EVENT" in lua


def test_a_counter_that_is_added(tree):
    insert(tree / "protocol/counters.def", COUNTER, "\n#undef COUNTER\n")
    assert generate(tree) == (0, "")
    assert ("| `yawns` | octets | `YWN/s` | `xsproxy_domain_yawns_total` | Yawns (of guests). |\n"
            in (tree / MADE[0]).read_text())


def test_what_is_edited_by_hand(tree):
    lua = tree / MADE[2]
    lua.write_text(lua.read_text().replace('"READ", "p", "v"', '"READ", "p", "w"'))
    assert generate(tree, "--check") == (1, f"{MADE[2]} is not what protocol/*.def says; run make "
                                            "generate\n")
    assert generate(tree) == (0, "")
    assert lua.read_text() == (ROOT / MADE[2]).read_text()


def test_without_a_marker(tree):
    lua = tree / MADE[2]
    lua.write_text(lua.read_text().replace("end of types", "end"))
    status, said = generate(tree)
    assert status == 1 and "'types'" in said and "put the markers back" in said
