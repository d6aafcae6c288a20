"""Statistics of a run: prevalence with confidence intervals, and seeded sampling.

Every formula names its source. The one statistic computed elsewhere is the quantile of document
scores, which DuckDB computes (``halo_engine.store``).
"""
