"""The report's pictures: records in, Plotly figures out, one idea per file."""
