"""The paths of an import -> the rules that they offer, and what of them can't be used."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from detections.errors import Location, RuleFault, RuleFileError
from detections.rule_files import RuleFile, load_rule_text
from detections.rule_files.loading import ARCHIVES, SUFFIXES, UNREADABLE, Source, decoded, sources_of, why
from detections.rule_import.comparison import same_content
from detections.rule_import.export import (
    CONNECTOR,
    EXCEPTION_ITEM,
    EXCEPTION_LIST,
    SAVED_OBJECT,
    read_export,
)

# What an export may hold besides rules, and what this version leaves for later.
LEFT = (EXCEPTION_LIST, EXCEPTION_ITEM, CONNECTOR, SAVED_OBJECT)


@dataclass
class Material:
    """What the paths offer. offers: each rule with its place; no two have one id.

    refused: what can't be used, with file, line and reason. repeated: the same rule once more, left out.
    left: how many things of each other sort the exports hold, which are not imported. exceptions: the lines
    of exception lists and items among these, for their own importer.
    """

    offers: list[tuple[RuleFile, Location]] = field(default_factory=list)
    refused: list[RuleFault] = field(default_factory=list)
    repeated: list[RuleFault] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    exceptions: list[str] = field(default_factory=list)


def read(paths: Iterable[Path], *, base: Path | None = None) -> Material:
    """Read files, folders and archives. Never raises for what stands in them.

    base: the folder from which places are named; None names whole paths.
    """
    material = Material()
    for path in paths:
        if not path.is_dir() and not path.name.endswith((*SUFFIXES, *ARCHIVES)):
            message = "not a rule file by its name."
            remedy = f"Rule files end in {', '.join((*SUFFIXES, *ARCHIVES))}."
            material.refused.append(RuleFault(_place(path, base), message, remedy))
            continue
        _read_path(path, material, base)
    material.offers = _single(material)
    return material


def _place(path: Path, base: Path | None) -> Location:
    return Location(_named(str(path), base))


def _named(path: str, base: Path | None) -> str:
    return path.removeprefix(f"{base}/") if base else path


def _read_path(path: Path, material: Material, base: Path | None) -> None:
    """An archive that is torn gives nothing: its files are listed before the first is read."""
    try:
        sources = list(sources_of(path))
    except UNREADABLE as error:
        message = f"can't be read: {why(error)}. Nothing of it is imported."
        material.refused.append(RuleFault(_place(path, base), message, "Check the path and the file."))
        return
    if not sources:
        message = "holds no rule file."
        remedy = f"Rule files end in {', '.join(SUFFIXES)}."
        material.refused.append(RuleFault(_place(path, base), message, remedy))
    for source in sources:
        _read_source(replace(source, path=_named(source.path, base)), material)


def _read_source(source: Source, material: Material) -> None:
    if source.problem:
        material.refused.append(RuleFault(Location(source.path), source.problem, "Check the file."))
    elif source.path.endswith(".toml"):
        _read_toml(source, material)
    else:
        _read_ndjson(source, material)


def _read_toml(source: Source, material: Material) -> None:
    try:
        rule = load_rule_text(
            decoded(source.content, source.path),
            source.path,
            overlay=decoded(source.overlay, source.overlay_path),
            overlay_path=source.overlay_path,
        )
    except RuleFileError as error:
        material.refused.extend(error.faults)
    else:
        material.offers.append((rule, Location(source.path)))


def _read_ndjson(source: Source, material: Material) -> None:
    export = read_export(source.content, source.path)
    if export.torn is not None:
        material.refused.append(export.torn)
        return
    material.offers.extend(export.rules)
    material.refused.extend(export.refused)
    material.notes.extend(export.notes)
    material.exceptions.extend(export.exceptions)
    material.left.update({sort: export.counts[sort] for sort in LEFT if export.counts[sort]})


def _single(material: Material) -> list[tuple[RuleFile, Location]]:
    """One offer an id. Where two differ, none is taken: nobody said which one is meant."""
    by_id: dict[str, list[tuple[RuleFile, Location]]] = {}
    for rule, place in material.offers:
        by_id.setdefault(rule.rule_id, []).append((rule, place))
    kept = []
    for offers in by_id.values():
        first, where = offers[0]
        if all(same_content(first, other) for other, _ in offers[1:]):
            kept.append(offers[0])
            material.repeated.extend(
                RuleFault(place, f"the same rule as in {where}, left out.") for _, place in offers[1:]
            )
        else:
            material.refused.extend(_two_with_one_id(offers))
    return kept


def _two_with_one_id(offers: Sequence[tuple[RuleFile, Location]]) -> Iterable[RuleFault]:
    for rule, place in offers:
        others = ", ".join(str(other) for _, other in offers if other is not place)
        yield RuleFault(
            place,
            f"rule_id {rule.rule_id} stands in this import more than once, with different content "
            f"({others}): none is imported.",
            "Import the one that you mean.",
        )
