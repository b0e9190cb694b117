"""Which providers can be asked now, and having one asked again that is left alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatmock import jsontext
from chatmock.account import Account, Accounts
from chatmock.conditions import summary, usable
from chatmock.errors import Kind, Refusal


def readiness(accounts: Accounts) -> tuple[bool, bytes]:
    """Whether there is a usable provider among those that are offered, and what is told of each, as JSON.

    ``{"status", "providers": {name: {"state", "until", "reason"}}}``: the status is ``ok`` where nothing is left alone,
    else ``degraded``; a state is ``ok``, ``cooling`` (not asked for ``until`` seconds, because of ``reason``), ``probing``
    (asked by one request at a time) or ``unready`` (the default one has no credential). Models of an asked provider that
    are left alone by themselves stand under its ``models``, in the same form.
    """
    names = [*accounts.offered]
    default = accounts.default
    told = {name: _state(accounts.by_name[name]) for name in names}
    if default not in told and default in accounts.by_name:
        told[default] = {"state": "unready", "until": None, "reason": "no_credential"}
    well = all(each["state"] == "ok" and "models" not in each for each in told.values())
    body = {"status": "ok" if well else "degraded", "providers": dict(sorted(told.items()))}
    return any(_is_usable(accounts.by_name[name]) for name in names), jsontext.dumps(body)


def heal(accounts: Accounts, name: str) -> bytes:
    """Have the provider *name* asked again; what was cleared, as JSON.

    ``{"provider", "cleared": [{"model", "reason", "since"}]}``: the model is null for the provider as a whole, ``since``
    are seconds ago.

    :raises Refusal: not found, for a provider that is not set up here.
    """
    account = accounts.by_name.get(name)
    if account is None:
        known = ", ".join(accounts.by_name)
        raise Refusal(
            Kind.NOT_FOUND,
            f"There is no provider {name[:50]!r} here. There are: {known}.",
            code="unknown_provider",
        )
    found = {} if account.watch is None else account.watch.heal()
    cleared = [
        {"model": model, "reason": each.reason, "since": round(each.since, 1)}
        for model, each in found.items()
    ]
    return jsontext.dumps({"provider": name, "cleared": cleared})


def _state(account: Account) -> Mapping[str, Any]:
    return summary({} if account.watch is None else account.watch.conditions())


def _is_usable(account: Account) -> bool:
    return account.watch is None or usable(account.watch.conditions())
