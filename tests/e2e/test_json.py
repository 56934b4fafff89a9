# SPDX-License-Identifier: MIT
"""What xsproxyctl prints with --json is as the schema that we ship says: each member is there, of
its type, and there is none that the schema does not know."""

import copy
import json
import subprocess

import jsonschema
import pytest

import built
import xensim
import xsclient
from control import Control
from harness import Host
from ours import running
from relay import FLAVOURS

CTL = xensim.BUILD / "xsproxyctl"
SCHEMA = json.loads((built.ROOT / "share/json/xsproxyctl.schema.json").read_text(encoding="utf-8"))


def strict(schema):
    """The same, but that no member may be there that it does not name."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: strict(value) for key, value in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        schema["additionalProperties"] = False
    return schema


STRICT = strict(copy.deepcopy(SCHEMA))


def look(name, value):
    jsonschema.Draft202012Validator({"$ref": f"#/$defs/{name}", **STRICT}).validate(value)


@pytest.fixture(name="host", params=FLAVOURS)
def a_host(request):
    with running(request.param) as host:
        with Control(host) as control:
            control.wait(lambda status: status["state"] == "running", "status")
        guest = host.add_guest(7)
        guest.watch("data", "t")
        guest.watch("/local/domain/7/none", "t")
        guest.start()
        with pytest.raises(xsclient.XsError):
            guest.write("/nobodys", "x")
        for path, value in (("device/vif/0/state", "1"), ("device/vif/0/backend",
                                                          "/local/domain/0/backend/vif/7/0")):
            host.dom0.write(f"/local/domain/7/{path}", value)
        host.dom0.watch("/tool", "t")
        with Control(host) as control:
            control.run("hold", domid=9)
        yield host


def printed(host, *args, control=True):
    where = ["--control", host.run_dir / "control"] if control else []
    done = subprocess.run([CTL, *args, "--json", *where], capture_output=True, text=True,
                          timeout=xensim.TIMEOUT, check=False, env=host.tool_env())
    assert not done.stderr
    return json.loads(done.stdout)


def test_each_command(host):
    session = printed(host, "clients")["clients"][0]["session"]
    with Control(host) as control:
        control.run("quiesce", domid=7)
        for name, *args in (
                ("status", "status"), ("check", "check"), ("domains", "domains"),
                ("domain", "domain", "7"), ("domain", "domain", "9"), ("why", "why", "7"),
                ("quota", "quota"), ("quota", "quota", "7"), ("clients", "clients"),
                ("client", "clients", str(session)), ("watches", "watches", "7"),
                ("stale", "watches", "--stale"), ("stats", "stats"), ("stats", "stats", "7"),
                ("mirror", "mirror"), ("mirror_check", "mirror", "check")):
            said = printed(host, *args)
            look(name, said)
            assert said != {}
        look("transactions", printed(host, "transactions", "7", control=False))
        control.run("unquiesce", domid=7)
    assert printed(host, "why", "7")["devices"] and printed(host, "watches", "7")["watches"]
    assert printed(host, "watches", "--stale")["domains"]


def test_when_something_is_wrong():
    with Host("C", start=False) as host:
        host.start_proxy()
        status = printed(host, "status")
        look("status", status)
        assert status["state"] == "waiting" and status["xenstored"] is None
        found = printed(host, "check")
        look("check", found)
        assert not found["ok"] and found["problems"]


def test_a_schema_that_is_not_kept():
    good = {"ok": True, "problems": []}
    look("check", good)
    for bad in ({"ok": True}, {**good, "more": 1}, {"ok": 1, "problems": []},
                {"ok": False, "problems": [{"what": "moon", "text": "x"}]}):
        with pytest.raises(jsonschema.ValidationError):
            look("check", bad)


def test_the_manual_has_all():
    manual = (built.ROOT / "docs/man/xsproxyctl.8").read_text(encoding="utf-8")
    part = manual.partition(".Sh JSON")[2].partition(".Sh ")[0]
    names = {"client": "clients", "stale": "watches", "mirror_check": "mirror",
             "domain_object": "domain"}
    for name in SCHEMA["$defs"]:
        assert names.get(name, name) in part, name
