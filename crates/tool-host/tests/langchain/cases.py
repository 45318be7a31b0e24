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


def case(script, *calls, head=None):
    CASES.append(((head or HEAD) + script, calls))


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

HEAD += MODELS
case('''
@tool
def it(a: int, config):
    "does it"
    return str(a)
''', {"a": 1})
case('''
@tool
def it(a: int = Field(description="the a", ge=0), b: Annotated[str, Field(description="the b", max_length=3)] = "x"):
    "does it"
    return f"{a} {b}"
''', {"a": 1}, {"a": -1, "b": "xxxx"})
case('''
@tool
def it(a: Optional[list[Literal["x","y"]]] = None, b: int = None, *args, **kwargs):
    "does it"
    return repr((a,b,args,kwargs))
''', {"a": ["x"]}, {"a": ["z"]}, {"b": None}, {"b": 2, "extra": 1})
case('''
import datetime, uuid, decimal
@tool
def it(d: datetime.date, t: datetime.datetime, u: uuid.UUID, n: decimal.Decimal, td: datetime.timedelta = None):
    "does it"
    return repr((d,t,u,n))
''', {"d": "2026-01-02", "t": "2026-01-02T03:04:05", "u": "12345678-1234-5678-1234-567812345678", "n": "1.5"})
case('''
import dataclasses
@dataclasses.dataclass
class D:
    x: int
    y: str = "q"
@tool
def it(d: D):
    "does it"
    return repr(d)
''', {"d": {"x": "1"}})
case('''
@tool
def it(a: Sequence[int], b: Mapping[str, int] = {}, c: tuple[int, ...] = (), d: frozenset[int] = frozenset(),
       e: "int | None" = None, f: dict = {}, g: set = set()):
    "does it"
    return repr((a,b,c,e))
''', {"a": [1, "2"], "b": {"x": "1"}, "c": ["1"]}, {"a": "x"})
case('''
class A(BaseModel):
    x: int
@tool
def it():
    "does it"
    return A(x=1)
''', {})
case('''
@tool
def it():
    "does it"
    return {1: "a", "b": (1, None)}
''', {})
case('''
@tool
def it(c: Annotated[str, InjectedToolCallId]):
    "does it"
    return [Command(update={"files": {"/x": "1"}}), ToolMessage("ok", tool_call_id=c)]
''', {})
case('''
@tool
def it(c: Annotated[str, InjectedToolCallId]):
    "does it"
    return [ToolMessage("ok", tool_call_id=c)]
''', {})
case('''
@tool
def it():
    "does it"
    return ToolMessage([{"type":"text","text":"b"}], tool_call_id="other")
''', {})
case('''
@tool("it", description="Given text.")
def it(a: int):
    "doc"
    return a
''', {"a": 1})
case('''
@tool("it", return_direct=True)
def it(a: int):
    """  Doc with
      indent.

      Second paragraph.
    """
    return a
''', {"a": 1})
case('''
class A(BaseModel):
    "Model doc."
    a: int = Field(..., description="d", examples=[1])
    b: Optional[Literal["x"]] = None
    c: list[str] = Field(default_factory=list)
@tool("it", args_schema=A)
def it(a, b, c):
    "doc"
    return [a,b,c]
''', {"a": "1"}, {"a": 1, "b": "z", "c": [1]})
case('''
class A(BaseModel):
    a: int
class T(BaseTool):
    name: str = "it"
    description: str = "does it"
    args_schema: Type[BaseModel] = A
    handle_tool_error: bool = True
    def _run(self, a: int, run_manager=None) -> str:
        raise ToolException("told")
that = T()
''', {"a": 1}, {"a": "q"})
case('''
def f(a: int) -> str:
    "f doc"
    raise ToolException("x")
it = StructuredTool.from_function(f, name="it", handle_tool_error="static")
''', {"a": 1})
case('''
def f(a: int) -> str:
    "f doc"
    raise ToolException("x")
it = StructuredTool.from_function(f, name="it", handle_tool_error=lambda e: f"made of {e}")
''', {"a": 1})
case('''
@tool
def it(a: int):
    "does it"
    raise RuntimeError("line1\\nline2")
''', {"a": 1})
case('''
@tool
def it(a: bool, b: float, c: str, d: int):
    "does it"
    return repr((a,b,c,d))
''', {"a": "yes", "b": "1e3", "c": "x", "d": True},
     {"a": 2, "b": "x", "c": 1, "d": "1.0"},
     {"a": None, "b": None, "c": None, "d": None},
     {"a": "on", "b": 1, "c": "", "d": 1.0},
     {"a": [], "b": [], "c": [], "d": []},
     {"a": {}, "b": {}, "c": {}, "d": {}})
case('''
@tool(parse_docstring=True)
def it(a: int, b: str = "q"):
    """Head line.

    More text.

    Args:
        a: first
            goes on
        b: second

    Returns:
        nothing
    """
    return a
''', {"a": 1})
case('''
from pydantic import ConfigDict, field_validator
class A(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int
    @field_validator("a")
    @classmethod
    def ok(cls, v):
        if v > 3: raise ValueError("too big")
        return v
@tool(args_schema=A)
def it(a):
    "doc"
    return a
''', {"a": 1}, {"a": 5}, {"a": 1, "b": 2})
case('''
@tool
def it(state: Annotated[dict, InjectedState], x: int = 1):
    "does it"
    return sorted(state) + [state["messages"][-1].type, state["messages"][-1].tool_calls[0]["name"]]
''', {})
case('''
@tool
def it(notes: Annotated[list, InjectedState("notes")], missing: Annotated[Any, InjectedState("missing")] = 5):
    "does it"
    return repr((notes, missing))
''', {})
case('''
@tool
def it(ctx: "dict[str, Any]", n: "int" = 3):
    "does it"
    return repr((ctx, n))
''', {"ctx": {"a": 1}})
case('''
class Sub(BaseModel):
    "sub doc"
    x: int = 1
class A(BaseModel):
    s: Sub = Field(default=None, description="the sub")
    ss: list[Sub] = []
    m: dict[str, Sub] = {}
@tool(args_schema=A)
def it(s=None, ss=[], m={}):
    "doc"
    return repr((s, ss, m))
''', {"s": {"x": 2}, "ss": [{}]})
case('''
class E(str, Enum):
    a = "a"
    b = "b"
@tool
def it(e: E = E.a):
    "doc"
    return f"{e.value} {isinstance(e, E)}"
''', {}, {"e": "b"}, {"e": "z"})
case('''
@tool
def it(text: str) -> str:
    "doc"
    return "ok"
''', {"text": {"a": 1}}, {"text": ["a"]}, {"text": 5}, {"text": True})
case('''
it = tool(lambda x: x)
''', {"x": 1})
case('''
def work(x: int) -> int:
    "works"
    return x
it = tool("it")(work)
''', {"x": 1})
MORE = HEAD + '''
import dataclasses, datetime
from enum import IntEnum

class E(Enum):
    x = "a"
    y = "b"

class I(IntEnum):
    one = 1
    two = 2

class P(BaseModel):
    """A point."""
    x_y: int
    e: Optional[E] = None

@dataclasses.dataclass
class D:
    x: int
    y: str = "q"
'''
VALUES = [None, True, 0, 1.0, 1e300, "", "b", "1", [], [1], ["x"], [[1]], [1, "x", 2], {"k": 1}, {"1": "x"}, {"x_y": "2"}]
for kind in ["bytes", "set", "I", "dict[int, str]", "tuple[int, str]", "Sequence[str]", "Literal[1, 2]", "Optional[E]",
             "Optional[P]", "Union[P, int]", "Union[int, list[int]]", "Union[list, dict[str, int]]", "list[Optional[P]]",
             "Optional[Annotated[int, Field(ge=1)]]", "list[Annotated[int, Field(le=0)]]", "tuple[P, int]",
             "Annotated[str, Field(min_length=2, pattern='^a')]", "Annotated[float, Field(ge=0, lt=1)]"]:
    case(f'''
@tool
def it(a: {kind}):
    "it"
    return repr(a)
''', *({"a": value} for value in VALUES if kind != "set" or value != [1, "x", 2]), head=MORE)
for kind, default in [("bytes", "b'x'"), ("datetime.date", "datetime.date(2026, 1, 2)"), ("D", "D(1)"), ("Optional[E]", "E.y"),
                      ("Optional[P]", "P(x_y=1, e=E.x)"), ("datetime.datetime", "datetime.datetime(2026, 1, 2, 3)")]:
    case(f'''
@tool
def it(z: int, a: {kind} = {default}):
    "it"
    return repr(a)
''', {"z": 1}, head=MORE)
case('''
@tool(parse_docstring=True)
def it(a: int, b: str = "x"):
    """Head.

    Args:
        a: first
          note: goes on

        b: second
    """
    return str(a)
''', {"a": 1})
case('''
@tool
def it():
    "it"
    return HumanMessage("x")
''', {})
