"""MetaTrader's reports into rows: bytes in, what the report says out. Pure.

statement = read(data)          # BadStatement names the line and what was expected
history = history_of(statement) # trades, balance operations and costs, for copypro.statistics
check(statement)                # every printed figure beside ours
"""

from copypro.statements.grid import Limits, Problem
from copypro.statements.reading import read
from copypro.statements.rows import Kind, Statement

__all__ = ["Kind", "Limits", "Problem", "Statement", "read"]
