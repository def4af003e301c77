"""The import rule of features, for `lint-imports`: what a feature of the API may use of another one."""

from collections.abc import Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

API = "services.api"


class FeatureBorders(Contract):
    """Packages of the API use one another only through the modules that `through` names.

    `shared` packages may be used by all. `projector_side` modules, which run in the projector, may use those of other
    features too. Modules in `wiring` put everything together.
    """

    through: Any = fields.SetField(subfield=fields.StringField())
    projector_side: Any = fields.SetField(subfield=fields.StringField())
    shared: Any = fields.SetField(subfield=fields.StringField())
    wiring: Any = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Every import that crosses a border elsewhere."""
        crossings = sorted(self._crossings(graph))
        return ContractCheck(kept=not crossings, metadata={"crossings": crossings})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """A line per import."""
        for importer, imported in check.metadata["crossings"]:
            output.print_error(f"{importer} must not import {imported}")

    def _crossings(self, graph: ImportGraph) -> Iterator[tuple[str, str]]:
        for importer in graph.modules:
            if importer in self.wiring or not importer.startswith(f"{API}."):
                continue
            feature, _, own = importer.removeprefix(f"{API}.").partition(".")
            for imported in graph.find_modules_directly_imported_by(importer):
                other, _, module = imported.removeprefix(f"{API}.").partition(".")
                if not imported.startswith(f"{API}.") or other in {feature, *self.shared}:
                    continue
                in_projector = feature == "projector" or own in self.projector_side
                if module in self.through or (in_projector and module in self.projector_side):
                    continue
                yield importer, imported
