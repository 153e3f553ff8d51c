"""What is wrong with a training, in words: symptoms, named faults, and advice that was tried where it can be."""

from ravine.diagnosis.case import Case as Case
from ravine.diagnosis.case import case_of as case_of
from ravine.diagnosis.catalogue import CATALOGUE as CATALOGUE
from ravine.diagnosis.diagnose import check_trainable as check_trainable
from ravine.diagnosis.diagnose import diagnose as diagnose
from ravine.diagnosis.diagnose import findings_of as findings_of
from ravine.diagnosis.finding import Finding as Finding
from ravine.diagnosis.finding import Findings as Findings
from ravine.diagnosis.look import Look as Look
from ravine.diagnosis.monitor import Monitor as Monitor

__all__ = [
    "CATALOGUE",
    "Case",
    "Finding",
    "Findings",
    "Look",
    "Monitor",
    "case_of",
    "check_trainable",
    "diagnose",
    "findings_of",
]
