"""Sections of the report, one file each, found by being there; a file gives its place in the report itself.

The name of a file is the name of its section; the file defines `SECTION`, a `longtail.report.section.Section`. Files
whose name begins with an underscore are none. Sections may live elsewhere as well: in folders that the environment
variable LONGTAIL_SECTIONS names (separated as in PATH), and in packages that an installed distribution names under the
entry point `longtail.sections`. `longtail.report.discovery` finds them; nothing else is here, so that a file may have
any name.
"""
