"""What `operando serve` says and does over HTTP: state, changes as they happen, requests.

Everything but the page itself needs a token. A request that changes anything needs one with the
role ``operate``, a fresh time and an idempotency key, and is a line of the audit log whether it is
carried out or refused: `gate` sees to that for every route alike, so that no route can forget it.
"""
