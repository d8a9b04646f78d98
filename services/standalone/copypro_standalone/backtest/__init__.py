"""`copypro backtest`: a master's history through the live code, on simulated brokers and a virtual clock.

`history` has what is replayed, `terms` what symbols are taken to be, `playing` the replay, `results`
what came of it, `report` how it is shown, `command` the command's inputs.
"""
