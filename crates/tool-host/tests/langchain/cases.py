# Scripts, each with a tool `it`, and the arguments of calls. Described and called alike with LangChain and without.
HEAD = """from enum import Enum
from typing import *

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException, tool
from langgraph.prebuilt import InjectedState
from langgraph.types import Command
"""
MODELS = "from pydantic import BaseModel, Field\n"
CASES = []


def case(script, *calls, head=HEAD):
    CASES.append((head + script, calls))


case('''
@tool
def it(text: str, top: int = 2) -> dict:
    """Count.

    Args:
        text: the text
        top: how many
    """
    return {"a": text, "b": top, "é": None}
''', {"text": "x"}, {"text": "x", "top": "3"}, {"top": "q"}, {}, {"text": 1, "top": 1.5}, {"text": "x", "more": 1})
case('''
@tool(parse_docstring=True)
def it(text: str, top: int = 2) -> dict:
    """Count.

    Args:
        text: the text
        top: how many
    """
    return [text, top]
''', {"text": "x"})
case('''
@tool("it")
def other(a: list[int], b: dict[str, float], c: Optional[str] = None, d: Literal["x", "y"] = "x", e: bool = False,
          f: Any = None, g: list = []):
    "it"
    return repr((a, b, c, d, e, f, g))
''', {"a": ["1", 2], "b": {"k": "1.5"}}, {"a": 1, "b": 2}, {"a": [], "b": {}, "d": "z", "e": "maybe", "c": 5},
     {"a": ["x"], "b": {"k": "z"}})
case('''
class Color(Enum):
    red = "red"
    blue = "blue"

@tool
def it(color: Color, n: Union[int, str], t: tuple[int, str] = (1, "a"), s: set[str] = set()):
    "it"
    return f"{color} {n!r} {t!r}"
''', {"color": "red", "n": "5"}, {"color": "green", "n": 5})
case('''
@tool
def it(x: Annotated[int, "the x"], files: Annotated[dict, InjectedState("files")],
       state: Annotated[dict, InjectedState], call: Annotated[str, InjectedToolCallId]) -> Command:
    "it"
    first, second = state["messages"]
    seen = f"{sorted(files)} {first.content} {isinstance(first, HumanMessage)} {isinstance(second, AIMessage)} {x}"
    answer = ToolMessage(f"{seen} {second.tool_calls}", tool_call_id=call)
    return Command(update={"files": {"/b": "new", "/a": None}, "notes": [1], "messages": [answer]})
''', {"x": 1}, {"x": "1", "files": 5, "call": "mine"})
case('''
@tool
def it(call: Annotated[str, InjectedToolCallId]):
    "it"
    return Command(update={"messages": []})
''', {})
case('''
@tool
def it(call: Annotated[str, InjectedToolCallId]):
    "it"
    return ToolMessage("hi", tool_call_id=call, status="error")
''', {})
case('''
@tool
def it():
    "it"
    raise ToolException("bad")
''', {})
case('''
@tool
def it():
    "it"
    raise ValueError("bad")
''', {})
case('''
class Own(BaseTool):
    name: str = "it"
    description: str = "does it"

    def _run(self, q: str, n: int = 1):
        return q * n

that = Own()
''', {"q": "a", "n": 3})
case('''
class Args(BaseModel):
    """args."""
    q: str = Field(description="the q")
    n: int = Field(default=3, ge=1, le=5)

@tool(args_schema=Args)
def it(q, n):
    "does it"
    return [q, n]
''', {"q": "a"}, {"q": "a", "n": 9}, {}, head=HEAD + MODELS)
case('''
class Point(BaseModel):
    x: int
    y: Optional[str] = None

@tool
def it(p: Point, ps: list[Point] = []):
    "does it"
    return f"{p.x} {p.y} {len(ps)} {p}"
''', {"p": {"x": "4"}}, {"p": {}}, {"p": {"x": 1}, "ps": [{"x": 2}]}, head=HEAD + MODELS)
case('''
@tool
async def it(a: int):
    "does it"
    return a + 1
''', {"a": 1})
case('''
def work(a: int, b: str = "q") -> str:
    """works"""
    return b * a

it = StructuredTool.from_function(work, name="it", description="made")
''', {"a": 2})
case('''
from langchain_core.runnables import RunnableConfig

@tool
def it(a: int, config: RunnableConfig):
    "does it"
    return config["configurable"]["idempotency_key"]
''', {"a": 1})
case('''
from langgraph.prebuilt import ToolRuntime

@tool
def it(a: int, runtime: ToolRuntime):
    "does it"
    return f"{runtime.tool_call_id} {sorted(runtime.state)} {runtime.config['configurable']['idempotency_key']}"
''', {"a": 1})
case('''
@tool(response_format="content_and_artifact")
def it(a: int):
    "does it"
    return "c", {"x": 1}
''', {"a": 1})
case('''
@tool(args_schema={"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]})
def it(q):
    "does it"
    return q
''', {"q": "z"})
case('''
@tool
def other():
    "not the one"
''')
case('''
@tool
def it(a):
    return 1
''')
case('''
import os

@tool
def it():
    "it"
    return os.environ["IDEMPOTENCY_KEY"]
''', {})
for value in ["'p'", "None", "1.5", "float('nan')", "(1, 2)", "['a', 'é']", "{1}", "b'ab'", "[]", "True",
              "[{'type': 'text', 'text': 'a'}]", "{'a': float('inf')}", "__import__('datetime').date(2026, 1, 2)"]:
    case(f'''
@tool
def it():
    "it"
    return {value}
''', {})
