"""`copypro backtest`: a master's history through the live code, on simulated brokers and a virtual clock.

`sources` finds a history (`history`, `account_events`, `netting`), `terms` says what symbols are taken
to be, `playing` replays it in a `world` of two brokers, `results` has what came of it, `report` how it
is shown, `command` the inputs.
"""
