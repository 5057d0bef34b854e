"""Appends batches, and merges them, until it is killed. Run as a process with the store's folder."""

import pickle
import sys
from pathlib import Path

from detections.stores.embedded import EmbeddedStore, MemoryManifest, compacting
from detections.stores.embedded.merge_plan import IN_TIME, SORTED, Merge
from tests.detections.stores.conftest import CATALOGUE
from tests.detections.stores.events import event


class FileManifest(MemoryManifest):
    """A manifest whose commit is the rename of one small file, as atomic as a transaction."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        if path.exists():
            state = pickle.loads(path.read_bytes())
            self._segments, self._fields, self._head, self._retired = state

    def commit(self, *args, **kwargs):
        number = super().commit(*args, **kwargs)
        self.save()
        return number

    def swap(self, *args, **named):
        super().swap(*args, **named)
        self.save()

    def save(self):
        fresh = self.path.with_suffix(".new")
        fresh.write_bytes(pickle.dumps((self._segments, self._fields, self._head, self._retired)))
        fresh.rename(self.path)


def open_store(folder):
    return EmbeddedStore(folder, FileManifest(folder / "manifest"), CATALOGUE)


def batch_of(number):
    return [event(f"{number}-{n}", number, process__name="x" * n) for n in range(20)]


def merge(store):
    """Now one kind of merge, now the other, of whatever there is."""
    sources = tuple(store.reader.manifest.segments())
    level = SORTED if store.head() % 2 else IN_TIME
    compacting.merge(store.reader, Merge(sources[-40:], level))


def main(folder):
    store = open_store(folder)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for number in range(10_000):
        store.append(batch_of(number), batch=str(number))
        if number % 5 == 4:
            merge(store)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
