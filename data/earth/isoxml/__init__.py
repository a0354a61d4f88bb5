"""ISO 11783-10 task data of terminals (ISOXML, versions 3 and 4): fields, devices, tasks, timelogs and rate grids.

A folder of its own because TASKDATA.XML, its binary timelogs and grids, and the data dictionary are one format.
"""
