"""A scripted Agent Client Protocol agent of the standard library alone.

The prompt is its script, one step a line: ``say TEXT``, ``run SHELL`` (asks permission first), ``ask METHOD`` (of the
client), ``opened`` (says what the session was opened with), ``raw JSON`` (sends the line as it is), ``error TEXT``,
``stop REASON``, ``exit CODE``, ``hang``. Options of its command line bend its manners: ``--version N``, ``--modes``,
``--auth``, ``--deny-only``, ``--deaf``.
"""

import json
import os
import subprocess
import sys
import threading

cancelled = threading.Event()
inbox, child, opened = [], [], {}
arrived = threading.Condition()
options = sys.argv[1:]


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def listen():
    for line in sys.stdin:
        message = json.loads(line)
        if message.get("method") == "session/cancel" and "--deaf" not in options:
            cancelled.set()
            for program in child:
                program.kill()
            continue
        with arrived:
            inbox.append(message)
            arrived.notify()
    if "--deaf" not in options:
        os._exit(0)  # the client has closed the line


def receive():
    with arrived:
        while not inbox:
            arrived.wait()
        return inbox.pop(0)


def update(kind, **fields):
    send({"method": "session/update", "params": {"sessionId": "s1", "update": {"sessionUpdate": kind, **fields}}})


def allowed():
    kinds = ["reject_once"] if "--deny-only" in options else ["reject_once", "allow_always", "allow_once"]
    choices = [{"optionId": f"id-{n}", "name": kind, "kind": kind} for n, kind in enumerate(kinds)]
    params = {"sessionId": "s1", "toolCall": {"toolCallId": "t1"}, "options": choices}
    send({"id": "ask-1", "method": "session/request_permission", "params": params})
    outcome = receive().get("result", {}).get("outcome", {})
    say(f"permission {outcome}")
    return outcome.get("optionId") == "id-2"


def say(text):
    update("agent_message_chunk", content={"type": "text", "text": text + "\n"})


def run(command):
    update("tool_call", toolCallId="t1", title=f"runs {command}")
    if allowed():
        child.append(subprocess.Popen(["sh", "-c", command], stdout=sys.stderr))
        child[-1].wait()


def ask(method):
    send({"id": "ask-2", "method": method, "params": {"sessionId": "s1", "path": "/etc/passwd"}})
    say(f"got {receive().get('error')}")


def give_up(code):
    sys.stderr.write("the agent gives up\n")
    sys.exit(int(code))


STEPS = {
    "say": say,
    "run": run,
    "ask": ask,
    "opened": lambda _: say(json.dumps(opened)),
    "raw": lambda line: sys.stdout.write(line + "\n"),
    "exit": give_up,
    "hang": lambda _: threading.Event().wait(),
}
ENDS = {
    "error": lambda words: {"error": {"code": -32603, "message": "Internal error", "data": {"details": words}}},
    "stop": lambda reason: {"result": {"stopReason": reason}},
}


def turn(script):
    for line in script.splitlines():
        step, _, rest = line.partition(" ")
        if cancelled.is_set():
            break
        if step in ENDS:
            return ENDS[step](rest)
        STEPS[step](rest)
    return {"result": {"stopReason": "cancelled" if cancelled.is_set() else "end_turn"}}


def answer(method, params):
    if method == "initialize":
        assert params["clientCapabilities"]["fs"] == {"readTextFile": False, "writeTextFile": False}
        return {"result": {"protocolVersion": int(options[1]) if "--version" in options else 1}}
    if method == "session/new" and "--auth" in options:
        return {"error": {"code": -32000, "message": "Authentication required"}}
    if method == "session/new":
        opened.update(params)
        modes = [{"id": mode, "name": mode} for mode in ("auto", "bypassPermissions")]
        state = {"modes": {"currentModeId": "auto", "availableModes": modes}} if "--modes" in options else {}
        return {"result": {"sessionId": "s1", **state}}
    if method == "session/set_mode":
        say(f"mode {params['modeId']}")
        return {"result": None}
    return turn(params["prompt"][0]["text"])


threading.Thread(target=listen, daemon=True).start()
while True:
    request = receive()
    send({"id": request["id"], **answer(request["method"], request["params"])})
