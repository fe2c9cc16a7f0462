"""An Agent Client Protocol agent of the standard library that does what it is told, and nothing else.

Of each prompt it runs the lines that begin with ``do: `` as shell commands, one after the other. Where the prompt says
that something takes the place of what was asked before, only what follows that is done.
"""

import json
import subprocess
import sys

IN_PLACE = "in place of the follow-ups before it)"


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def work(prompt):
    for line in prompt.rpartition(IN_PLACE)[2].splitlines():
        if line.startswith("do: "):
            update = {"sessionUpdate": "tool_call", "toolCallId": "t1", "title": f"does {line[4:]}"}
            send({"method": "session/update", "params": {"sessionId": "s1", "update": update}})
            subprocess.run(["sh", "-c", line[4:]], stdout=sys.stderr, check=False)
    return {"stopReason": "end_turn"}


for text in sys.stdin:
    request = json.loads(text)
    if "id" not in request or "method" not in request:
        sys.exit()  # cancelled
    result = {"initialize": {"protocolVersion": 1}, "session/new": {"sessionId": "s1"}}.get(request["method"])
    if request["method"] == "session/prompt":
        result = work("\n".join(block["text"] for block in request["params"]["prompt"]))
    send({"id": request["id"], "result": result})
