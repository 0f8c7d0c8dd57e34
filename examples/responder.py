"""A responder of one's own: takes the incident when an alert fires, and works the playbook.

`gameday run redis-slow --responder "python examples/responder.py"`
"""

import json
import sys


def order(name: str, **fields: object) -> None:
    print(json.dumps({"order": name, **fields}), flush=True)


def main() -> None:
    steps: list[int] = []
    begun = False
    for line in sys.stdin:
        told = json.loads(line)
        match told["event"]:
            case "hello" if told["playbook"]:
                steps = [step["step"] for step in told["playbook"]["steps"] if step["do"]]
            case "alert" if told["state"] == "firing" and not begun:
                begun = True
                order("ack")
                order("declare", text=f"what {told['alert']} is about")
                order("severity", severity="sev2")
                if steps:
                    order("act", step=steps.pop(0))
            case "step.done" if not told.get("undoing"):
                order("update", text=f"step {told['step']}: {told['status']}")
                if steps and told["status"] != "failed":
                    order("act", step=steps.pop(0))
            case "bye":
                return


if __name__ == "__main__":
    main()
