"""Where published packages come from: one pinned source distribution at a time, as bytes.

Must never run anything of a package, write it to a disk, or give out bytes that are not the pinned ones.
"""
