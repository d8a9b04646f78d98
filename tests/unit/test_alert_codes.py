"""Each alert that the program can raise, and no other, has its row in docs/operations.md, with what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from copypro_account_watcher.permission import OF_THIS_MACHINE

ROOT = Path(__file__).parents[2]
CODE_AT = {"raise_alert": 2, "halt": 3, "Alarm": 0, "AlertRaised": None}
"""Where a call has the alert's code, by position; None: by the keyword `code` alone."""


def calls() -> Iterator[tuple[str, ast.expr]]:
    """(where, what is given as the code) of every call that raises an alert."""
    for file in sorted((ROOT / "services").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                if name not in CODE_AT:
                    continue
                at = CODE_AT[name]
                by_name = [word.value for word in node.keywords if word.arg == "code"]
                by_place = [] if at is None else node.args[at : at + 1]
                yield f"{file.name}:{node.lineno}", [*by_name, *by_place][0]


def test_every_alert_code_has_a_row_that_says_what_to_do_and_no_other_has() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.partition("## Alerts\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| ([A-Z_]+) \| [^|]+ \| ([^|]+) \|$", table, re.M))
    assert all(rows.values())
    raised = dict.fromkeys(OF_THIS_MACHINE, "permission.py")
    for where, code in calls():
        if isinstance(code, ast.Constant) and code.value:
            raised[str(code.value)] = where
        else:  # passed on from one of the others
            passed_on = {"code", "alarm.code", "''"}
            assert ast.unparse(code) in passed_on, f"{where}: a code that this test cannot read"
    assert raised.keys() == rows.keys(), raised
