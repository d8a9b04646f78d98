"""Every code with which a call is refused: its status, what it means and what helps. Pure.

The page of errors is made from it, and a test holds that no code is missing.
"""

from __future__ import annotations

CALL_CODES: dict[str, tuple[int, str, str]] = {
    # what was asked
    "INVALID_PARAMETER": (400, "a parameter is missing or not what it must be", "correct the field that the message names"),
    "UNKNOWN_CALL": (404, "there is no such call", "see /docs"),
    "WRONG_METHOD": (405, "the call takes no such method", "use one that the message names"),
    "HTTP_ERROR": (400, "the request is no HTTP that can be answered", "see the message"),
    "BODY_TOO_LARGE": (413, "the body has more than a megabyte", "no call needs as many"),
    "QUERY_TOO_LONG": (414, "the query is longer than 16 kB", "send a POST with a JSON body of the same names"),
    # who asks
    "USER_KEY_REQUIRED": (401, "the call needs a userKey", "give it as Authorization: Bearer, or as a parameter"),
    "USER_KEY_INVALID": (401, "the userKey is not known", "sign in for a new one"),
    "WRONG_LOGIN": (401, "email or passwordHash is wrong", "correct it, or ask for a new password"),
    "OPERATOR_KEY_INVALID": (401, "the call is an operator's", "give the gateway's COPYPRO_MANAGER_KEY"),
    "OPERATOR_OFF": (403, "operators' calls are off", "set COPYPRO_MANAGER_KEY for the gateway"),
    "SCOPE": (403, "the key may do less than that", "use a key of the scope that the message names"),
    "UNKNOWN_KEY": (404, "no such key of yours", "see Keys"),
    "TOO_MANY_KEYS": (409, "the user has as many keys as may be", "remove one by RemoveKey"),
    "INVITE_REQUIRED": (403, "sign-up is by invite here", "ask an operator: `copypro users invite`"),
    "INVITE_INVALID": (403, "the invite is unknown, used or over", "ask for a new one"),
    "TOO_MANY_TRIES": (429, "too many tries at passwords: of this e-mail and address, of this address, or of this e-mail from new addresses", "wait as long as Retry-After says; keys that you have go on working"),
    "SIGN_UP_CLOSED": (403, "sign-up is closed here", "ask an operator: `copypro users add`"),
    "EMAIL_TAKEN": (409, "a user with this e-mail exists already", "sign in"),
    "MAIL_OFF": (403, "the gateway sends no letters", "an operator sets COPYPRO_MAIL"),
    "RESET_KEY_INVALID": (403, "the reset key is unknown, used or over", "ask for a new one by PasswordForgot"),
    # what is asked about
    "UNKNOWN_ACCOUNT": (404, "no such account, or it is somebody else's", "see Accounts"),
    "UNKNOWN_COPIER": (404, "no such copier, or it is somebody else's", "see UserCopiers"),
    "UNKNOWN_USER": (404, "no such user", "check the e-mail"),
    "UNKNOWN_ATTEMPT": (404, "no unresolved attempt has this id", "see Unresolved"),
    "UNKNOWN_TICKET": (404, "no alert is about this ticket", "see Alerts"),
    "CANNOT_REPLAY": (409, "the dead letter holds nothing that can be put back", "see its reason"),
    "UNKNOWN_LETTER": (404, "no open dead letter of this name", "see `copypro dead-letters list`"),
    # accounts
    "ALREADY_REGISTERED": (409, "of two calls at once that added the account, the other one was first", "nothing: AddAccount again changes that one"),
    "ACCOUNT_LEAVING": (409, "the account is being removed, which waits until its copies are closed", "add it once Accounts shows it no more, or let RemoveAccount leave the trades open"),
    "PLATFORM_OFF": (400, "no bridge is set for this platform", "set ApiMT4 or ApiMT5 to its address"),
    "ACCOUNT_CONNECTING": (409, "the account is not connected: its password has not logged in yet, or its bridge or broker is out of reach", "try again when Accounts shows it connected"),
    "NOT_PROVED": (403, "the account's password was refused", "set the right one by ChangePassword"),
    "READ_ONLY": (400, "the account's password is an investor password", "set the trading password by ChangePassword"),
    "ACCOUNT_DISABLED": (409, "the master account is disabled", "enable it by AccountSetEnabled"),
    "IMPORTED_ACCOUNT": (400, "the account was imported from a report: it is only looked at", "add the account itself, with its password"),
    "LIVE_ACCOUNT": (409, "the account is connected: its history is read from its broker", "import nothing into it"),
    "TOO_MANY_ACCOUNTS": (409, "the user has as many accounts as may be", "remove one"),
    # copiers
    "SAME_ACCOUNT": (400, "master and slave are the same account", "choose two"),
    "PAIR_IN_USE": (409, "another user's copier links these two accounts", "choose another pair"),
    "COPIER_IN_USE": (409, "the new copier's id belongs to another pair", "call again"),
    "NOT_STARTED": (503, "an account given inline is being added and not visible yet: the copier was not started", "start it when the command that the message names is done"),
    "LOOP": (409, "the slave is already a master of this master, directly or by others", "remove that copier first"),
    "TOO_MANY_COPIERS": (409, "the user has as many copiers as may be", "remove one"),
    "EQUITY_PROTECTION": (409, "the slave's equity protector has acted and keeps its copiers paused", "arm it anew by UpdateEquityProtector, then resume"),
    "ALREADY_PAUSED": (409, "the copier was paused already, for a reason of its own", "nothing: it is paused"),
    "PAUSED_OTHERWISE": (409, "the copier is paused for another reason than the one that is over", "see which, then resume it yourself"),
    # callbacks
    "UNKNOWN_CALLBACK": (404, "no callback is set", "set one by SetTradeLogCallback or UpdateEquityProtectorCallback"),
    "CALLBACK_FAILED": (502, "the receiver did not take the post", "see the message; see that it answers 2xx within 10 s"),
    # reports
    "BAD_STATEMENT": (400, "the file is no report that can be read whole", "see the line that the message names, or set lenient"),
    "STATEMENT_TOO_LARGE": (413, "the file is too large", "split the report by dates"),
    # again
    "IDEMPOTENCY_KEY_USED": (409, "the Idempotency-Key was used for another call", "choose a new one"),
    "IDEMPOTENCY_KEY_RUNNING": (409, "the call of this Idempotency-Key is still running", "ask again in a moment"),
    # now
    "RATE_LIMITED": (429, "too many requests of this key or address", "wait as long as Retry-After says"),
    "BUSY": (503, "many sign-ins at once", "wait as long as Retry-After says"),
    "AUDIT_UNAVAILABLE": (503, "the change could not be noted in the audit trail, so it was not made", "try again"),
    "SECRET_KEYS": (503, "passwords cannot be sealed with the operator's secret keys", "the operator: the gateway's log says why"),
    "DISK_FULL": (507, "the disk is full: nothing was changed", "make room and try again"),
    "LOG_UNAVAILABLE": (503, "the log does not answer; whether this was taken shows later", "look, then try again"),
    "STORE_UNAVAILABLE": (503, "the database does not answer", "try again in a few seconds"),
    "STARTING": (503, "the program has just started, or waits for its servers", "try again in a few seconds; /health/ready says what it waits for"),
    "TOO_OLD": (503, "a record is of a newer version than this program", "bring the gateway up to date"),
    "INTERNAL_ERROR": (500, "something unexpected happened", "the gateway's log says what"),
}  # fmt: skip
