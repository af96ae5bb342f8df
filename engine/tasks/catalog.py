"""List the models of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass

from engine.core.checksums import find_record, write_record
from engine.core.store import folder
from engine.core.system import PRODUCT, versions
from engine.core.types import Progress, Report
from engine.networks.catalog_network import CatalogEntry
from engine.workers.process import Host, Worker


def run_catalog(request: CatalogRequest, report: Report) -> tuple[CatalogEntry, ...]:
    """Read the catalogue; see `engine.networks.catalog.catalog`."""
    from engine.networks.catalog import catalog

    report(Progress("Reading the catalogue", 0, 1))
    return catalog()


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogRequest:
    """Ask which models there are."""


def models(host: Host) -> tuple[CatalogEntry, ...]:
    """List the catalogue, read once for each version of its sources and of Quantization Lab.

    Args:
        host: Gets the worker and its progress.

    Returns:
        One entry a model, the default first.
    """
    packages = versions()
    name = f"catalog-{packages['torchvision']}-{packages['timm']}-{packages[PRODUCT]}.json"
    file = folder("cache") / name
    entries = find_record(file, tuple[CatalogEntry, ...])
    if entries is None:
        with Worker() as worker:
            entries = host.adopt(worker).run(run_catalog, CatalogRequest(), host.report)
        write_record(file, entries)
    return entries
