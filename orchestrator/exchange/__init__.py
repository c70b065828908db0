"""Protocols for other programs, by aurora-unicycler's converters, and what each of them loses."""

from orchestrator.exchange.protocols import FORMATS, Export, export_protocol

__all__ = ["FORMATS", "Export", "export_protocol"]
