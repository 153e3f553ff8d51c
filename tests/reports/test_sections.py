"""What the parts of the page say."""

from __future__ import annotations

from ravine.reports.folder import read_run
from ravine.reports.sections import sections


def test_the_results_say_how_far_they_can_be_believed(finished):
    run = read_run(finished)
    said = next(part for part in sections(run) if part.anchor == "results").summary
    assert "looked at once" in said
    assert f"chose among {len(run.trials)} trials" in said
    share, rows = run.evaluation.answers["best"].test["accuracy"], run.config.data.sizes["test"]
    assert f"± {100 * (share * (1 - share) / rows) ** 0.5:.2g} points" in said
