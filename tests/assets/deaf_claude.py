#!/usr/bin/env python3
"""A program that speaks Claude Code's stream-json, ends its turn at once and never takes what is said later."""

import json
import sys


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


told = False
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "control_request":
        send({"type": "control_response", "response": {"subtype": "success", "request_id": message["request_id"]}})
    elif not told:
        told = True
    else:
        send({"type": "command_lifecycle", "command_uuid": "of-nobody", "state": "started"})
        send({"type": "command_lifecycle", "command_uuid": {}, "state": "started"})
        send({"type": "result", "is_error": False, "result": "done without it"})
