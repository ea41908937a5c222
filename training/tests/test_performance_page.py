"""The page on performance quotes the graphs' figures as they were measured, and no others."""

import json
import re
from pathlib import Path

from bench.graphs import TOOL, VARIANTS, table_lines

ROOT = Path(__file__).resolve().parents[2]


def quoted(page: str) -> str:
    found = re.search(r"<!-- bench:graphs -->\n(.*?)\n<!-- /bench:graphs -->", page, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_quotes_the_last_run() -> None:
    record = json.loads((ROOT / "bench/results/graphs.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    assert quoted(page) == "\n".join(table_lines(record))
    assert list(record["graphs"]) == [*VARIANTS, TOOL]


def test_another_figure_would_be_seen() -> None:
    record = json.loads((ROOT / "bench/results/graphs.json").read_text(encoding="utf-8"))
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    record["graphs"]["int8"]["roof_percent"] += 1
    assert quoted(page) != "\n".join(table_lines(record))
