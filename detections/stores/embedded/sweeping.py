"""Clean up after killed writers, and take repaired segments back."""

from dataclasses import dataclass

from detections.stores.embedded.reader import Reader


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: files deleted, segments that can be read again, segments that still can't."""

    deleted: tuple[str, ...]
    recovered: tuple[str, ...]
    unreadable: tuple[str, ...]


def swept(reader: Reader) -> Swept:
    """Delete files that no manifest row names, an hour after they were written; check unreadable segments."""
    # The folder is listed before the manifest is read: a file that becomes visible in between is spared.
    settled = list(reader.files.settled())
    known = {reader.files.absolute(path) for path in reader.manifest.paths()}
    deleted = [path for path in settled if path not in known]
    for path in deleted:
        path.unlink(missing_ok=True)
    recovered, unreadable = [], []
    for segment in reader.manifest.segments():
        if segment.readable:
            continue
        if reader.files.fault(segment):
            unreadable.append(segment.path)
        else:
            reader.manifest.report_readable(segment.path)
            recovered.append(segment.path)
    return Swept(tuple(path.name for path in deleted), tuple(recovered), tuple(unreadable))
