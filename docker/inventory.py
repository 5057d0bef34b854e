"""Lists the installed packages: `inventory.py PYPROJECT FOLDER`.

Writes FOLDER/sbom.cdx.json (CycloneDX 1.6) and FOLDER/licences.txt, both in the order of the names, so that
two builds of the same packages give the same files. Standard library alone: it runs while the image is built.
"""

import json
import re
import sys
import tomllib
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any

# What a package says in place of a licence, or the whole text of one.
_NO_LICENCE = {"", "UNKNOWN"}
LONGEST = 100


def name_of(package: Distribution) -> str:
    """The package's name as indices compare names."""
    return re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()


def licence_of(package: Distribution) -> str:
    """As the package states it: an SPDX expression, a short text, or its classifiers; else NOASSERTION."""
    said = package.metadata
    for stated in (said.get("License-Expression"), said.get("License")):
        if stated and stated not in _NO_LICENCE and len(stated) <= LONGEST and "\n" not in stated:
            return str(stated)
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in said.get_all("Classifier") or []
        if line.startswith("License :: ") and not line.endswith("OSI Approved")
    ]
    return " / ".join(classifiers) or "NOASSERTION"


def component(package: Distribution) -> dict[str, Any]:
    name, version = name_of(package), package.version
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{name}@{version}",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name}@{version}",
        "licenses": [{"license": {"name": licence_of(package)}}],
    }


def sbom(project: dict[str, Any], packages: list[Distribution]) -> dict[str, Any]:
    """A CycloneDX document over the packages."""
    about = {
        "type": "application",
        "bom-ref": project["name"],
        "name": project["name"],
        "version": project["version"],
        "licenses": [{"license": {"id": project["license"]}}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": about},
        "components": [component(package) for package in packages],
    }


def licence_lines(packages: list[Distribution]) -> str:
    """A line a package: name, version, licence."""
    return "".join(f"{name_of(one)}\t{one.version}\t{licence_of(one)}\n" for one in packages)


def installed() -> list[Distribution]:
    """Every package of this environment once, by name."""
    return sorted({name_of(one): one for one in distributions()}.values(), key=name_of)


def main(pyproject: Path, folder: Path) -> None:
    packages = installed()
    project = tomllib.loads(pyproject.read_text())["project"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sbom.cdx.json").write_text(json.dumps(sbom(project, packages), indent=1) + "\n")
    (folder / "licences.txt").write_text(licence_lines(packages))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
