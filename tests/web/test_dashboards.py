"""The page about metrics tells those that are there: no more, no less."""

import re

from tests.conftest import ROOT

from macroslow.services.spending.read_figures import Figures
from macroslow.services.upstreams.call_server import Counts
from macroslow.web.metrics import Metrics
from macroslow.web.upstream_metrics import UpstreamMetrics

PAGE = (ROOT / "docs/how-to/watch-spending.md").read_text(encoding="utf-8")
SUFFIXES = re.compile(r"_(bucket|count|sum)$")


async def test_every_metric_is_told_and_every_metric_told_is_there() -> None:
    page = (await Metrics(upstreams=UpstreamMetrics({}, Counts())).text(Figures())).decode()
    there = set(re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE))
    told = set(re.findall(r"\b(?:macroslow|gen_ai_client)_\w+", PAGE))
    assert {SUFFIXES.sub("", name) for name in told} == there
