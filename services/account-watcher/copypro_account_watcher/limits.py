"""Every limit of the account watcher, with its unit; one value, handed in, scaled by tests."""

from __future__ import annotations

from msgspec import Struct


class WatcherLimits(Struct, frozen=True, kw_only=True):
    longest_call_s: float = 65.0
    """What a trade call may take; longer than the bridge's own 60 s, so that its answer wins."""
    commit_to_wire_ms: float = 250.0
    """Between an attempt's commit and its first byte; past that it counts as not sent."""
    absence_wait_mt4_s: float = 60.0
    absence_wait_mt5_s: float = 30.0
    """How long after an unclear answer an order may still appear."""
    absence_reads_apart_s: float = 5.0
    late_fill_s: float = 604_800.0
    """An open that was given up may still fill, and a modify be executed, so long after it was sent: over
    a weekend, and more.
    """
    now_tries: int = 3
    now_within_s: float = 2.0
    later_open_s: tuple[float, ...] = (1.0, 2.0, 5.0)
    later_close_first_s: float = 1.0
    later_close_cap_s: float = 60.0
    code_wait_share: float = 1.0
    """Of the waits that the table of result codes asks for."""
    stop_wait_s: float = 3.0
    """A stop that a copy needs is waited for so long after the master's open: some brokers take none with it."""
    stops_tries: int = 3
    """Of a modify that the broker wants corrected."""
    stops_within_s: float = 10.0
    """A leg whose master has a stop and that still has none after this is closed; one that keeps a
    former stop so long raises an alert.
    """
    breaker_stops: int = 5
    breaker_unknowns: int = 2
    breaker_window_s: float = 60.0
    breaker_pause_s: float = 60.0
    close_alert_after_s: float = 30.0
    """A close that is still not done raises an alert, and so does what was told as closed and stands, or
    an account that is out of reach while copies stand on it.
    """
    away_alert_after_s: float = 300.0
    """Any other account that is out of reach so long: a master's trades are missed."""
    unresolved_alert_after_s: float = 10.0
    """An attempt that nobody could settle so long raises an alert."""
    room_poll_s: float = 0.05
    """An open looks so often whether the copy in its way, which is being closed, is gone."""
    pending_grace_s: float = 4.0
    """How long a mirrored order may lag behind the master's fill before it is replaced."""

    quote_age_s: float = 5.0
    rate_wait_s: float = 3.0
    """So long a price of now is waited for, to convert by; then it is the last one of a closed market,"""
    rate_age_s: float = 345_600.0
    """which may be of before Easter,"""
    rate_kept_s: float = 60.0
    """and is asked for again after so long."""
    ask_again_s: float = 1.0
    """What was read for a copy and brought it no further is read for it again after so long."""
    spec_age_s: float = 300.0
    margin_age_s: float = 60.0
    figures_age_s: float = 60.0
    snapshot_every_s: float = 10.0
    snapshot_tries: int = 3
    frames_held_s: float = 5.0
    """So often a snapshot is tried that frames overtake; then they wait for one, but not longer."""
    margined_orders_s: float = 30.0
    """A list of pending orders alone beside used margin is taken for whole once it was so this long."""
    stream_wait_s: float = 5.0
    """A new session's stream may take so long to open before a snapshot is taken without it."""
    own_fills_wait_s: float = 0.1
    """A frame that shows nothing but what our own calls opened waits so long for those that follow."""
    live_age_s: float = 15.0
    """A position in a frame that opened longer ago than this was missed, not seen live."""
    terms_wait_s: float = 1.0
    """A look waits so long for the terms and prices that its new orders need, then tells the rest."""
    terms_at_once: int = 20
    row_wait_s: float = 0.3
    """A smaller volume in a list waits so long for the deal that made it; history is asked at once."""
    history_lag_s: float = 5.0
    """So long after a list shows a change history may still not have it."""
    missing_polls: int = 10
    """Before VANISHED is told: longer than history may lag."""
    missing_every_s: float = 1.0
    missing_for_s: float = 60.0
    """What vanished without proof is looked for so often for so long, then with each snapshot."""
    history_every_s: float = 3600.0
    """What moves no balance and comes in no frame, only history tells: it is read as often as this."""
    history_margin_s: float = 86_400.0
    history_session_s: float = 900.0
    """Where something is to be proved and history cannot be read for so long, the account logs in anew."""
    say_again_s: float = 900.0
    """What fails on and on is said once per cause, and again after so long."""
    import_days: int = 3650
    import_page_days: int = 90
    import_again_first_s: float = 10.0
    import_again_cap_s: float = 3600.0
    """What cannot be read of the past now is asked for again after so long."""
    import_tries: int = 6
    """So often a past without a payment is read before it is taken for whole."""
    reconnect_first_s: float = 1.0
    reconnect_cap_s: float = 60.0
    bridge_away_cap_s: float = 10.0
    """The same of tries that reach no bridge: they ask nothing of a broker, and trades go on meanwhile."""
    session_stood_s: float = 5.0
    """Sessions that are lost sooner, one after the other, wait ever longer for the next one. Of those that
    stand longer each moment is worth having, and they are few.
    """
    publish_every_s: float = 1.0
    alive_every_s: float = 30.0
    equity_every_s: float = 60.0
    symbols_a_piece: int = 500
    drain_s: float = 7.0
    """At a planned stop calls in flight get so long to be answered; a process ends within ten seconds."""
    retry_log_s: float = 1.0
    """Pause before the partition is taken again after the log failed (a full disk)."""
    clock_off_s: float = 1.0
    protect_every_s: float = 1.0
    """With an armed equity protector and open positions: a look so soon after their price moved."""
    flow_wait_s: float = 5.0
    """Money moved beside a trade and nothing has told why: an equity protector waits so long for
    history, which is asked each `missing_every_s`.
    """

    def reconnect_s(self, failures: int, *, is_bridge_away: bool = False) -> float:
        """Before the next try, after so many in vain: twice as long each time, up to the cap."""
        pause_s = min(self.reconnect_first_s * 2.0 ** min(failures - 1, 16), self.reconnect_cap_s)
        return min(pause_s, self.bridge_away_cap_s) if is_bridge_away else pause_s
