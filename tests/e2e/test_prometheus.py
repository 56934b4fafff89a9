# SPDX-License-Identifier: MIT
"""What we ship for Prometheus and Grafana, tried with Debian's Prometheus: every rule is told what
it is for, an alert says which domain, and no query of the dashboard asks for what there is not."""

import contextlib
import json
import shutil
import subprocess
import urllib.parse
import urllib.request

import pytest

import built
import xensim
import xsclient
from ours import running
from relay import wait_until
from test_metrics import config, free_address

ROOT = built.ROOT
RULES = ROOT / "share/prometheus/xsproxy.rules.yml"
SCRAPES = """
global: {scrape_interval: 300ms, scrape_timeout: 300ms, evaluation_interval: 200ms}
rule_files: [%s]
scrape_configs: [{job_name: xsproxy, static_configs: [{targets: ["%s:%d"]}]}]
"""


@pytest.fixture(name="programs", scope="module")
def debians_prometheus():
    done = subprocess.run([ROOT / "tests/fetch-prometheus"], capture_output=True, text=True,
                          check=True)
    return built.pathlib.Path(done.stdout.strip())


class Prometheus:
    def __init__(self, address):
        self.url = "http://%s:%d/api/v1/" % address

    def get(self, what, **arguments):
        query = "?" + urllib.parse.urlencode(arguments) if arguments else ""
        with urllib.request.urlopen(self.url + what + query, timeout=xensim.TIMEOUT) as reply:
            return json.load(reply)["data"]

    def ask(self, query):
        return self.get("query", query=query)["result"]

    def ready(self):
        with contextlib.suppress(OSError):
            return self.ask("up")
        return None


@contextlib.contextmanager
def prometheus(host, programs, at, tmp_path):
    """One that scrapes @at, and has our rules."""
    address = free_address()
    scrapes = tmp_path / "prometheus.yml"
    scrapes.write_text(SCRAPES % (RULES, *at), encoding="ascii")
    process = host.sim.start("prometheus", [
        programs / "prometheus", f"--config.file={scrapes}", f"--storage.tsdb.path={tmp_path}/db",
        "--web.listen-address=%s:%d" % address, "--log.level=error"], ready=False)
    server = Prometheus(address)
    assert wait_until(server.ready)
    yield server
    process.stop()


def provoke(host):
    """Two domains, one of which has more watches than it may have."""
    greedy, modest = host.add_guest(7), host.add_guest(9)
    for i in range(3):
        greedy.watch("data", str(i))
    with pytest.raises(xsclient.XsError, match="ENOMEM"):
        greedy.watch("data", "more")
    with pytest.raises(xsclient.XsError):
        modest.write("/nobodys", "x")
    host.settle_mirror()
    return modest


def test_rules(programs, tmp_path):
    for name in (RULES, ROOT / "tests/e2e/rules_test.yml"):
        shutil.copy(name, tmp_path)
    tested = (ROOT / "tests/e2e/rules_test.yml").read_text(encoding="utf-8")
    alerts = [line.split()[-1] for line in RULES.read_text(encoding="utf-8").splitlines()
              if "- alert:" in line]
    assert len(alerts) > 10 and all(f"alertname: {alert}\n" in tested for alert in alerts)
    for words in ("check", "rules", "xsproxy.rules.yml"), ("test", "rules", "rules_test.yml"):
        done = subprocess.run([programs / "promtool", *words], cwd=tmp_path, capture_output=True,
                              text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_which_domain(programs, tmp_path):
    """A single refusal raises the alert, and that names the domain."""
    at = free_address()
    with running("C", config=config("%s:%d" % at) + "[limits]\nwatches = 3\n") as host, \
            prometheus(host, programs, at, tmp_path) as server:
        provoke(host)

        def fires():
            return [alert for alert in server.get("alerts")["alerts"]
                    if alert["state"] == "firing" and
                    alert["labels"]["alertname"] == "XsproxyDomainAtLimit"]

        assert wait_until(fires)
        alert, = fires()
        instance = "%s:%d" % at
        assert alert["labels"] == {"alertname": "XsproxyDomainAtLimit", "domid": "7",
                                   "error": "ENOMEM", "instance": instance}
        assert alert["annotations"]["summary"] == (
            f"{instance}: domain 7 (guest-7) is refused requests with ENOMEM; see xsproxyctl quota "
            "7")


def queries():
    """(panel, query) of all that the dashboard asks."""
    dashboard = json.loads((ROOT / "share/grafana/xsproxy.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "10s").replace("$instance", ".*")
            assert "$" not in text
            yield panel["title"], text


def test_dashboard(programs, tmp_path):
    at = free_address()
    with running("C", config=config("%s:%d" % at) + "[limits]\nwatches = 3\n") as host, \
            prometheus(host, programs, at, tmp_path) as server:
        modest = provoke(host)
        # What is asked for as a rate has to rise while it is looked at.
        assert wait_until(lambda: server.ask("xsproxy_domain_refused_total"))
        asked = list(queries())
        assert len(asked) > 20

        def silent():
            with contextlib.suppress(xsclient.XsError):
                modest.write("/nobodys", "x")
            return [(title, query) for title, query in asked if not server.ask(query)]

        wait_until(lambda: not silent())
        assert silent() == []
        named, = server.ask('xsproxy_domain_watches{domid="7"} * on (job, instance, domid) '
                            "group_left (name) xsproxy_domain_info")
        assert named["metric"]["name"] == "guest-7" and named["value"][1] == "3"
