"""What can go wrong that nobody decided, as one tree.

    CopyProError
    ├─ SettingsError          a setting is missing or wrong; the message names it and the remedy
    ├─ LogError
    │  ├─ PartitionLost       another owner took over, or the log failed: throw memory away, restore
    │  ├─ LogClosed           the log was closed on purpose
    │  ├─ LogBusy             another process holds the same data folder
    │  ├─ LogFull             the disk is full: nothing was written
    │  ├─ LogCorrupt          the data is not ours, damaged, or from a newer version
    │  ├─ LogUnavailable      its servers do not answer, or nobody knows what became of a write
    │  ├─ LogRefused          its servers refuse our credentials: waiting does not help
    │  └─ LogLayout           its topics are missing or not as they must be; says what differs
    ├─ StoreError             what keeps our data: files, MongoDB, and Kafka by the two below
    │  ├─ StoreUnavailable    it does not answer now: wait, then ask the same again (LogUnavailable too)
    │  └─ StoreRefused        nothing helps until a person changes what the message names (LogCorrupt,
    │                         LogRefused and LogLayout too)
    ├─ ServiceEnded           a service of this process ended although nobody stopped it
    ├─ BadRecord              a record that cannot be decoded; carries where and why
    ├─ SecretsError           a secret does not open with the keys at hand
    │  └─ KeyDestroyed        nor ever will: its registration is gone, and its data key with it
    ├─ AlreadyThere           an e-mail (or other unique value) is taken
    ├─ NoInvite               an invite to sign up that is unknown, used or over
    ├─ BadStatement           a report that cannot be read; says the line and what was expected
    └─ TerminalError          carries `code` (the bridge's name for it, or ours) and `message`
       ├─ Refused             the broker or bridge certainly did not do it; the code says why
       ├─ NotSent             no byte of the request left this machine: safe to try again
       ├─ OutcomeUnknown      the order may or may not stand: record, reconcile, never resend blindly
       ├─ CredentialsRefused  wrong login or password, or the account is disabled: stop, never hammer
       ├─ SessionLost         the bridge no longer knows our session: connect again
       └─ Unavailable         a read failed for now (network, throttling, not synchronised): back off

Refusals by rule are events with a code and numbers, never exceptions.
"""

from __future__ import annotations


class CopyProError(Exception):
    """The root of everything raised on purpose here."""


class SettingsError(CopyProError):
    pass


class LogError(CopyProError):
    pass


class PartitionLost(LogError):
    pass


class LogClosed(LogError):
    pass


class LogBusy(LogError):
    pass


class LogFull(LogError):
    pass


class MailUnavailable(CopyProError):
    pass


class StoreError(CopyProError):
    pass


class StoreUnavailable(StoreError):
    pass


class StoreRefused(StoreError):
    pass


class LogUnavailable(LogError, StoreUnavailable):
    pass


class LogCorrupt(LogError, StoreRefused):
    pass


class LogRefused(LogError, StoreRefused):
    pass


class LogLayout(LogError, StoreRefused):
    pass


class ServiceEnded(CopyProError):
    pass


class BadRecord(CopyProError):
    """`newer`: written by a newer version than this; it is waited for, never dead-lettered."""

    def __init__(
        self, topic: str, partition: int, offset: int, reason: str, *, newer: bool = False
    ) -> None:
        super().__init__(f"{topic}/{partition} at {offset}: {reason}")
        self.topic, self.partition, self.offset = topic, partition, offset
        self.reason, self.newer = reason, newer


class SecretsError(CopyProError):
    pass


class KeyDestroyed(SecretsError):
    pass


class AlreadyThere(CopyProError):
    pass


class NoInvite(CopyProError):
    pass


class BadStatement(CopyProError):
    pass


class TerminalError(CopyProError):
    """`code` is stable and short; `message` is for people and never carries a secret or a URL."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code, self.message = code, message


class Refused(TerminalError):
    pass


class NotSent(TerminalError):
    pass


class OutcomeUnknown(TerminalError):
    pass


class CredentialsRefused(TerminalError):
    pass


class SessionLost(TerminalError):
    pass


class Unavailable(TerminalError):
    pass
