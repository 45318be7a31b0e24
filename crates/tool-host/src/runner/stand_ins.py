# What scripts import from LangChain and LangGraph, for interpreters that lack them.
import enum
import inspect
import json
import os
import sys
import textwrap
import types
import typing

MISSING = object()


class InjectedToolArg:
    """Marks an argument that the model does not see."""


class InjectedToolCallId(InjectedToolArg):
    """Marks the argument that gets the call's id."""


class InjectedState(InjectedToolArg):
    """Marks the argument that gets the agent's state, or one field of it."""

    def __init__(self, field=None):
        self.field = field


class ToolException(Exception):
    """A failure that a tool reports on purpose."""


class Message(dict):
    """A message as a plain dict whose members can be read as attributes, too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class BaseMessage:
    type = "base"

    def __init__(self, content="", **fields):
        self.content = content
        self.name = fields.pop("name", None)
        self.id = fields.pop("id", None)
        self.additional_kwargs = fields.pop("additional_kwargs", {})
        self.response_metadata = fields.pop("response_metadata", {})
        for key, value in fields.items():
            setattr(self, key, value)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"


class HumanMessage(BaseMessage):
    type = "human"


class AIMessage(BaseMessage):
    type = "ai"


class SystemMessage(BaseMessage):
    type = "system"


class ToolMessage(BaseMessage):
    type = "tool"

    def __init__(self, content="", tool_call_id="", **fields):
        fields.setdefault("artifact", None)
        fields.setdefault("status", "success")
        super().__init__(content, **fields)
        self.tool_call_id = tool_call_id


class Command:
    """Changes to the state, returned in place of a result."""

    def __init__(self, *, graph=None, update=None, resume=None, goto=()):
        self.graph, self.update, self.resume, self.goto = graph, update, resume, goto


class FieldInfo:
    NUMBERS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}

    def __init__(self, default=MISSING, default_factory=None, description=None, **rest):
        self.default = MISSING if default is ... else default
        self.default_factory = default_factory
        self.description = description
        self.rest = {key: value for key, value in rest.items() if value is not None}


def Field(default=MISSING, **rest):
    return FieldInfo(default, **rest)


class BaseModel:
    """A small stand-in for pydantic's: fields from annotations, checked when made."""

    def __init__(self, **values):
        problems = []
        checked = check_fields(fields_of_model(type(self)), values, "", problems)
        if problems:
            raise ValueError("\n".join(f"{where}: {what}" for where, what in problems))
        self.__dict__.update(checked)

    def model_dump(self, **_):
        return plain(self)

    dict = model_dump

    def model_dump_json(self, **_):
        return json.dumps(plain(self), ensure_ascii=False, separators=(",", ":"))

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in vars(self).items())})"

    def __str__(self):
        return " ".join(f"{key}={value!r}" for key, value in vars(self).items())

    def __eq__(self, other):
        return type(self) is type(other) and vars(self) == vars(other)


class BaseTool:
    """A tool: either made by `tool`, or a subclass with `name`, `description` and `_run`."""

    name = None
    description = ""
    args_schema = None
    func = None
    coroutine = None
    response_format = "content"
    handle_tool_error = False
    parse_docstring = False
    return_direct = False

    def __init__(self, **fields):
        for key, value in fields.items():
            setattr(self, key, value)
        if self.name is None:
            raise ValueError(f"{type(self).__name__}: a tool needs a name")

    def _function(self):
        own_run = type(self)._run is not BaseTool._run
        return self.func or self.coroutine or (self._run if own_run else getattr(self, "_arun", None))

    def _run(self, *args, **kwargs):
        raise NotImplementedError

    def run(self, tool_input, **_):
        return self.invoke(tool_input)

    def invoke(self, input, config=None, **_):
        args = input.get("args", input) if isinstance(input, dict) and input.get("type") == "tool_call" else input
        if isinstance(args, str):
            args = {next(iter(fields_of_tool(self)), "input"): args}
        return run_function(self._function(), args)

    def __call__(self, *args, **kwargs):
        return run_function(self._function(), kwargs, args)


class StructuredTool(BaseTool):
    @classmethod
    def from_function(cls, func=None, coroutine=None, name=None, description=None, args_schema=None,
                      parse_docstring=False, infer_schema=True, return_direct=False, **rest):
        source = func or coroutine
        if source is None:
            raise ValueError("Function and/or coroutine must be provided")
        made = cls(name=name or source.__name__, func=func, coroutine=coroutine, args_schema=args_schema,
                   parse_docstring=parse_docstring, return_direct=return_direct, **rest)
        if description is None and parse_docstring:
            description = parsed_docstring(source)[0]
        elif description is None:
            description = source.__doc__ or getattr(args_schema, "__doc__", None)
            if isinstance(args_schema, dict):
                description = description or args_schema.get("description")
            if not description:
                raise ValueError("Function must have a docstring if description not provided.")
            description = textwrap.dedent(description)
        made.description = description.strip()
        return made


def tool(name_or_callable=None, runnable=None, *_, **options):
    """LangChain's decorator: `@tool`, `@tool("name")`, `@tool(args_schema=…)`."""

    def make(function, name=None):
        both = {"coroutine": function} if inspect.iscoroutinefunction(function) else {"func": function}
        return StructuredTool.from_function(name=name, **both, **options)

    if isinstance(name_or_callable, str):
        if runnable is not None:
            return make(runnable, name_or_callable)
        return lambda function: make(function, name_or_callable)
    return make if name_or_callable is None else make(name_or_callable)


def run_function(function, kwargs, args=()):
    result = function(*args, **kwargs)
    if inspect.iscoroutine(result):
        import asyncio

        return asyncio.run(result)
    return result


MODULES = {
    "langchain_core": {},
    "langchain_core.tools": {
        "tool": tool, "BaseTool": BaseTool, "StructuredTool": StructuredTool, "ToolException": ToolException,
        "InjectedToolArg": InjectedToolArg, "InjectedToolCallId": InjectedToolCallId,
    },
    "langchain_core.messages": {
        "BaseMessage": BaseMessage, "HumanMessage": HumanMessage, "AIMessage": AIMessage,
        "SystemMessage": SystemMessage, "ToolMessage": ToolMessage,
    },
    "langgraph": {},
    "langgraph.prebuilt": {"InjectedState": InjectedState},
    "langgraph.types": {"Command": Command},
    "pydantic": {"BaseModel": BaseModel, "Field": Field},
}
# Older paths of the same things.
MODULES["langchain_core.tools.base"] = MODULES["langchain_core.tools"]
MODULES["langchain"] = {}
MODULES["langchain.tools"] = MODULES["langchain_core.tools"] | MODULES["langgraph.prebuilt"]
MODULES["langgraph.prebuilt.tool_node"] = MODULES["langgraph.prebuilt"]


def stand_in():
    """Registers our modules. The interpreter runs without site packages, so there are no others."""
    for name, members in MODULES.items():
        module = types.ModuleType(name)
        module.__path__ = []
        module.__dict__.update(members)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)
