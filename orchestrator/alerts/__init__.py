"""Tells people: mail and webhooks from what was written down by `orchestrator.telling`.

A process of its own (`python -m orchestrator.alerts`) takes tellings up and delivers them; whoever
tells starts it, `operando serve` starts it again. docs/how-to/get-told.md says what a user does.
"""
