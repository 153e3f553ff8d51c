"""Findings in the order in which a person should mend them: a root before what follows from it, the surer first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ravine.diagnosis.finding import Finding, Findings

__all__ = ["ranked"]


def ranked(findings: Iterable[Finding], explains: Mapping[str, tuple[str, ...]]) -> Findings:
    """The surest finding of each fault; one that another alarm explains comes after all that nothing explains.

    explains: the faults that follow from each.
    """
    surest: dict[str, Finding] = {}
    for finding in findings:
        if finding.fault not in surest or finding.confidence > surest[finding.fault].confidence:
            surest[finding.fault] = finding
    alarms = [finding.fault for finding in surest.values() if finding.alarm]

    def explained(finding: Finding) -> bool:
        return any(
            finding.fault in explains.get(root, ())
            and root != finding.fault
            and root not in explains.get(finding.fault, ())
            for root in alarms
        )

    return Findings(sorted(surest.values(), key=lambda finding: (explained(finding), -finding.confidence)))
