"""Deduplication and decontamination: fingerprints -> edges between rows that are alike -> clusters -> rows to drop."""

from beam.dedupe.deduplicate import Deduplicate as Deduplicate
from beam.dedupe.settings import DeduperSettings as DeduperSettings
