"""`copypro report`: an account on one page, in one file that asks nothing of anybody.

`facts` reads, `page` and its parts write, `charts` draws, `printing` makes PDF and PNG of it. The
same data give the same bytes: no clock, no randomness, everything in a fixed order.
"""
