"""Intake: reading what somebody asked for, by rules. Pure: it opens nothing, asks nobody, and never raises for a text.

Only a person's own words choose what is done and where. What they quote, forward, paste or link is data: it may say
what is wrong, but never what to do about it, in which repository, or with which rights.
"""
