# SPDX-License-Identifier: MIT
"""Prometheus' text format, read strictly: whatever a scraper could take amiss is refused."""

import math
import re

NAME = r"[a-z][a-z0-9_]*"
# Others than the first label are what somebody wrote: escaped.
OTHERS = rf'((?:,{NAME}="(?:[ -!#-\[\]-~]|\\["\\])*")*)'
SAMPLE = re.compile(rf'({NAME})(?:\{{({NAME})="([A-Za-z0-9_.+-]+)"{OTHERS}\}})? (\S+)')
VALUE = re.compile(r"\d+(\.\d+)?")
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Family:
    """One metric: its samples as {(suffix, first label's value or None): number, or their sum}."""

    def __init__(self, name, text):
        self.name, self.help, self.type, self.label = name, text, None, None
        self.samples, self.seen = {}, set()

    def add(self, name, label, value, others, number):
        suffix = name.removeprefix(self.name)
        assert self.type and name.startswith(self.name) and suffix in SUFFIXES[self.type], name
        assert VALUE.fullmatch(number), number
        assert (suffix, value, others) not in self.seen, f"{name} {value} {others} twice"
        self.seen.add((suffix, value, others))
        if label:
            assert self.label in (None, label)
            self.label = label
        self.samples[suffix, value] = self.samples.get((suffix, value), 0) + float(number)

    def check(self):
        assert self.help and self.samples, self.name
        if self.type == "counter":
            assert self.name.endswith("_total")
        else:
            assert not self.name.endswith("_total")
        assert not re.search("_(ms|ns|us|octets|count|sum|bucket)(_|$)", self.name)
        if self.type == "histogram":
            self._check_histogram()

    def _check_histogram(self):
        assert self.label == "le" and self.name.endswith("_seconds")
        buckets = [(float(value), number) for (suffix, value), number in self.samples.items()
                   if suffix == "_bucket"]
        bounds, counts = zip(*buckets)
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf
        assert list(counts) == sorted(counts)
        assert counts[-1] == self.samples["_count", None]
        assert ("_sum", None) in self.samples and len(self.samples) == len(buckets) + 2

    def value(self, label=None):
        return self.samples["", label]

    def total(self):
        """Of a gauge: all labels together."""
        return sum(self.by_label().values())

    def by_label(self):
        return {value: number for (_, value), number in self.samples.items()}


def parse(text):
    """{name: Family}; AssertionError for what is no good text."""
    families, family = {}, None
    assert text.endswith("\n") and "\n\n" not in text
    for line in text.splitlines():
        head = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
        if head and head[1] == "HELP":
            assert head[2] not in families, f"{head[2]} is not in one piece"
            family = families[head[2]] = Family(head[2], head[3])
        elif head:
            assert head[2] == family.name and not family.type and not family.samples
            assert head[3] in SUFFIXES
            family.type = head[3]
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            family.add(*sample.groups())
    for family in families.values():
        family.check()
    return families
