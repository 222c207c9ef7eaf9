"""An offline W&B run read back from its file: a LevelDB log of protobuf records, which `wandb sync` would send."""

import struct
from pathlib import Path

BLOCK_BYTES = 2**15
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def read_records(path: Path) -> list:
    """The records in their order.

    References:
        LevelDB, doc/log_format.md; the file begins with 7 bytes of its own.
    """
    from wandb.proto import wandb_internal_pb2

    data = path.read_bytes()
    assert data[:4] == b":W&B"
    records, parts, position = [], b"", 7
    while position + 7 <= len(data):
        left = BLOCK_BYTES - position % BLOCK_BYTES
        if left < 7:
            position += left  # a header is not split
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        body = data[position + 7 : position + 7 + length]
        position += 7 + length
        parts = body if kind in (FULL, FIRST) else parts + body
        if kind in (FULL, LAST):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            records.append(record)
    return records
