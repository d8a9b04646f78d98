"""What only a copier knows: how fast, how dear and how complete its copies are. Pure.

    tally = Tally()
    for copy in copies:
        tally.add(copy)
    shown(tally)

`facts` has what goes in, `tally` the sums, `documents` reads the facts out of read
models, `growth` lays two accounts side by side, `shape` is the JSON. What was not recorded is
`Absent` and says why: no figure here is made from a guessed price.
"""

from copypro.quality.facts import GROUPS, Copy, Outcome
from copypro.quality.growth import Point, side_by_side
from copypro.quality.shape import shown
from copypro.quality.tally import Tally, grouped, tallied

__all__ = [
    "GROUPS",
    "Copy",
    "Outcome",
    "Point",
    "Tally",
    "grouped",
    "shown",
    "side_by_side",
    "tallied",
]
