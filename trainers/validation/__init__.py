"""Predictions beside reality, and the pages that say how they compare.

==========  ======================================================================
result      what a validation found: tables, charts, verdicts, and under which load
gather      results from several folders
watch       how busy the host was meanwhile, and with whom
holdout     profiles against configurations that were never measured, and holdout_report as a result
counts      bytes and FLOPs of compiled steps against those by hand
tables      rows of published tables against models that have not seen them; tables_report as a result
resume      calibrations killed and gone on with, refusals of spoilt files; resume_report as a result
charts      charts as SVG
page        a page that a browser shows, without a network
markdown    the same for docs/validation.md
==========  ======================================================================
"""
