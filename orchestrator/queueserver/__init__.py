"""Plans and devices for bluesky-queueserver, in laboratories that have it.

It is an adapter, not the unattended mode of this program; what bluesky-queueserver cannot promise
is in docs/how-to/use-bluesky-queueserver.md.
"""
