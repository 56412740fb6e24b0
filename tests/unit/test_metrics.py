"""``/metrics``: what Prometheus' own parser reads, units and help, and rules that name what there is."""

from __future__ import annotations

import re
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse
from support.failoverstates import failing, stuck
from support.readingkit import (
    DOWN,
    LIMITS,
    NOW,
    at,
    member,
    oplog,
    reading,
    readings,
    set_status,
    snapshot,
    store,
)

from mongo_dr_console.agent import metrics
from mongo_dr_console.agent.metrics import MetricsDuty
from mongo_dr_console.model.alert import Alert, AlertState, Silence
from mongo_dr_console.model.alertfacts import AlertFacts, WayFacts
from mongo_dr_console.model.alertkind import Kind
from mongo_dr_console.model.jobfacts import JobFacts
from mongo_dr_console.model.level import Level
from mongo_dr_console.model.metrics import METRICS, samples
from mongo_dr_console.model.oplogfacts import MemberLag
from mongo_dr_console.model.reading import SourceError
from mongo_dr_console.model.readings import Readings
from mongo_dr_console.model.streamfacts import KeptTopic, Latency, SinkFacts, StreamFacts

RULES = Path(__file__).parents[2] / "docs" / "alerts" / "prometheus-rules.yml"

STREAM = StreamFacts(
    profile="test",
    pid=1,
    host="a",
    started_at=NOW,
    written_at=NOW,
    committed=at(0),
    sinks=(SinkFacts(name="kafka", state="streaming", durable=at(3), canary=Latency(p50=1, p99=2, count=9)),),
)
TOPIC = KeptTopic(topic="t", bootstrap="k:9", oldest=at(9), newest=at(0), retention_seconds=3600, foreign=0)
FULL = readings(
    snapshot(30, started_at=at(90).time, finished_at=at(30).time),
    snapshot(90_000),
    set=reading("set", set_status(member("a:1", "PRIMARY"), member('b"\\\n:1', lag_seconds=2.5))),
    oplog=reading("oplog", oplog(members=(MemberLag("a:1", 0.0, 99.0),))),
    stream=reading("stream", STREAM),
    kafka=reading("kafka", TOPIC),
    failover=reading("failover", failing(stuck())),
    jobs=reading("jobs", (JobFacts("aaaa0001", "backup", "failed", started_at=NOW),)),
)
FACTS = AlertFacts(
    profile="test",
    host="a",
    pid=1,
    written_at=NOW,
    ways=(WayFacts(name="json-1", sent=3, failed=2, trouble=SourceError("alert-not-sent", "no")),),
    state=AlertState(
        alerts=(Alert(id="a1", kind=Kind.OPLOG_LAG, level=Level.CRITICAL, began_at=NOW),),
        silences=(Silence(id="s", kind="all", until=NOW + timedelta(hours=1), at=NOW),),
    ),
)


class Page:
    """What is served, as often as it is asked for."""

    def __init__(self) -> None:
        self.now: dict[str, tuple[Readings, AlertFacts | None]] = {"test": (FULL, FACTS)}
        self.told: list[str] = []
        self.duties = [self.duty("test")]
        self.duties[0].start()

    def duty(self, name: str, address: str = "127.0.0.1:0") -> MetricsDuty:
        return MetricsDuty(name, address, lambda: (*self.now[name], LIMITS), self._tell, lambda: NOW)

    def _tell(self, text: str) -> None:
        self.told.append(text)

    def text(self, accept: str = "text/plain") -> str:
        url = f"http://127.0.0.1:{self.duties[0].port}/metrics"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept})) as answer:
            return str(answer.read().decode())

    def close(self) -> None:
        for duty in self.duties:
            duty.stop()
            assert duty.join(30)


@pytest.fixture(scope="module")
def served() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


@pytest.fixture
def page(served: Page) -> Page:
    served.now, served.told = {"test": (FULL, FACTS)}, []
    return served


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value for family in parse(text) for s in family.samples
    }


def test_the_parser_reads_all_with_help_type_and_units(page: Page) -> None:
    text = page.text()
    families = {family.name: family for family in parse(text)}
    assert {METRICS[n].name for n in METRICS} == set(families), "each has a value where all is known"
    for metric in METRICS.values():
        family = families[metric.name]
        assert family.documentation == metric.about and metric.about.endswith((".", "more."))
        assert family.type == metric.kind
        assert {n for s in family.samples for n in s.labels} == {"profile", *metric.labels}
    assert text.count("# HELP") == text.count("# TYPE") == len(METRICS)


def test_as_openmetrics_it_is_valid_too_and_counters_end_in_total(page: Page) -> None:
    families = list(parse_openmetrics(page.text("application/openmetrics-text; version=1.0.0")))
    assert len(families) == len(METRICS)
    for family in families:
        assert family.unit == METRICS[family.name.removeprefix("mdr_")].unit
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")


def test_names_follow_the_conventions() -> None:
    for metric in METRICS.values():
        assert re.fullmatch(r"mdr_[a-z]+(_[a-z]+)*", metric.name)
        assert not re.search(r"_(ms|milliseconds|minutes|hours|kb|mb|percent|total)(_|$)", metric.name)
        words = metric.about.lower()
        if any(word in words for word in ("how long", "age of", "how far", "how much further")):
            assert metric.unit == "seconds", metric
        assert len(metric.labels) <= 2


def test_values_are_those_of_the_readings(page: Page) -> None:
    found = values(page.text())
    profile = ("profile", "test")
    assert found["mdr_member_lag_seconds", (("member", 'b"\\\n:1'), profile)] == 2.5
    assert found["mdr_backup_took_seconds", (profile,)] == 60
    assert found["mdr_source_up", (profile, ("source", "store:local"))] == 1
    assert found["mdr_stream_lag_seconds", (profile, ("sink", "kafka"))] == 3
    assert found["mdr_alerts", (("kind", "oplog-lag"), ("level", "critical"), profile)] == 1
    assert found["mdr_alert_way_up", (profile, ("way", "json-1"))] == 0
    assert found["mdr_alert_messages_failed_total", (profile, ("way", "json-1"))] == 2
    assert found["mdr_failover_needs_hand", (profile,)] == found["mdr_failover_running", (profile,)] == 1
    assert found["mdr_jobs", (("kind", "backup"), profile, ("state", "failed"))] == 1


def test_what_is_not_known_has_no_value(page: Page) -> None:
    page.now["test"] = (Readings("test", "test"), None)
    assert {name for name, _ in values(page.text())} == {"mdr_rpo_target_seconds", "mdr_rto_target_seconds"}
    down = replace(
        FULL,
        set=reading("set", set_status(), error=DOWN),
        stores={"store:a": reading("store:a", store(), error=DOWN)},
    )
    page.now["test"] = (down, FACTS)
    found = values(page.text())
    names = {name for name, _ in found}
    assert not names & {"mdr_primary_up", "mdr_member_up", "mdr_votes_available", "mdr_backup_age_seconds"}
    assert found["mdr_source_up", (("profile", "test"), ("source", "set"))] == 0


def test_several_profiles_share_an_address_and_the_last_one_lets_it_go(page: Page) -> None:
    page.now["other"] = (readings(), None)
    second = page.duty("other")
    page.duties.append(second)
    second.start()
    assert second.port == page.duties[0].port
    assert {dict(labels)["profile"] for _, labels in values(page.text())} == {"test", "other"}
    second.stop()
    assert {dict(labels)["profile"] for _, labels in values(page.text())} == {"test"}


def test_an_address_that_is_taken_is_told_and_had_once_it_is_free(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_RETRY_SECONDS", 0.02)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        waits = page.duty("test", f"127.0.0.1:{port}")
        waits.start()
        assert waits.port == 0 and "cannot be served" in page.told[0]
    waits._retrying.join(30)
    assert waits.port == port and page.told[-1] == f"metrics: served on 127.0.0.1:{port}"
    waits.stop()
    assert waits.join(30) and values(page.text())


def test_every_metric_of_every_rule_is_there() -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    assert len(rules) >= 15 and len({rule["alert"] for rule in rules}) == len(rules)
    known = {m.name + ("_total" if m.kind == "counter" else "") for m in METRICS.values()}
    labels = {"profile", *(label for m in METRICS.values() for label in m.labels)}
    for rule in rules:
        named = set(re.findall(r"\bmdr_\w+", rule["expr"]))
        assert named and named <= known, rule
        assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels, rule
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        _parentheses(rule["expr"])


def _parentheses(text: str) -> None:
    depth: list[Any] = []
    for sign in text:
        if sign in "([{":
            depth.append({"(": ")", "[": "]", "{": "}"}[sign])
        elif sign in ")]}":
            assert depth.pop() == sign
    assert not depth


def test_there_is_no_value_twice() -> None:
    seen = [(s.metric, s.labels) for s in samples(FULL, FACTS, LIMITS, NOW)]
    assert len(seen) == len(set(seen))
    for sample in samples(FULL, FACTS, LIMITS, NOW):
        assert len(sample.labels) == len(METRICS[sample.metric].labels)
