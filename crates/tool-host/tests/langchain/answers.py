# Prints what the runner makes of the cases. Arguments: the runner's folder, and modules that are to be stood in for
# although they are installed.
import json
import pathlib
import sys

here = pathlib.Path(__file__).parent
lacking = tuple(sys.argv[2:])
exec((here / "cases.py").read_text())
parts = ["stand_ins", "schema", "check", "langchain", "answer", "main"]
runner = "".join((pathlib.Path(sys.argv[1]) / f"{part}.py").read_text() for part in parts)
exec(runner.replace("\nmain(int(sys.argv[1]))\n", "\n"))
really_installed = installed
installed = lambda name: not name.startswith(lacking or ("\0",)) and really_installed(name)
stand_in()


def message(kind, **fields):
    return {"type": kind, "content": "hello", "name": None, "additional_kwargs": {}, "response_metadata": {}} | fields


calls = [{"name": "it", "args": {}, "id": "c1", "type": "tool_call"}]
state = {"messages": [message("human", id="m1"), message("ai", id="m2", tool_calls=calls)], "notes": [1],
         "files": {"/a": {"content": "x", "encoding": "utf-8"}}}
answers = []
for script, calls in CASES:
    TOOLS.clear()
    described = load([{"name": "it", "script": script}])
    said = [described]
    for args in calls if "tools" in described else []:
        answer = call({"tool": 0, "args": args, "call_id": "c1", "idempotency_key": "k1", "state": state})
        for record in filter(None, answer["files"].values()):
            assert record.pop("created_at") and record.pop("modified_at")
        said.append(answer)
    answers.append(said)
json.dump(answers, sys.stdout)
