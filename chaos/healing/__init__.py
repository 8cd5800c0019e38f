"""Ending faults from the journal alone, by a process that did not begin them.

remains.py    what is left of a run on the engine, found by labels
undo.py       the words of `undo` in the journal, and what is done for each
heal.py       one run: refuse, undo, prove, write down
find.py       which runs want it
watchdog.py   the process that waits for the controller's death and then heals
"""
