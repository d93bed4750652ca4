"""Limits per owner, site and process, and the service's own streams per account and region.

`companion.Admission` goes with each conversation; `office.get_office` keeps the leases of a process; `memory` and
`redis` count. ``docs/how-to/limits.md`` says what is counted where.
"""
