"""Binary blocks from an instrument (IEEE 488.2, 8.7.9)."""

from __future__ import annotations

from devices.errors import LinkError
from devices.link_channel import Channel


def receive_block(channel: Channel, who: str, deadline_s: float) -> tuple[bytes, bytes]:
    """One IEEE 488.2 definite-length block, without the terminator after it.

    Returns:
        Its header (`#`, number of digits, length) and its bytes.

    Raises:
        LinkError: What arrives is not such a block, or it is larger than `MAX_REPLY_BYTES`.
    """
    head = channel.receive_exactly(2, deadline_s)
    digits = int(head[1:]) if head[:1] == b"#" and head[1:].isdigit() else 0
    field = channel.receive_exactly(digits, deadline_s) if digits else b""
    if not field.isdigit():
        raise LinkError(
            who,
            f"garbled block, got {head + field!r}, expected # and a length",
            remedy="check the data format set on the instrument",
        )
    return head + field, channel.receive_exactly(int(field), deadline_s)
