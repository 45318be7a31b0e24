# What scripts import from LangChain and LangGraph, for interpreters that lack them.
import enum
import importlib.util
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


class InjectedStore(InjectedToolArg):
    """Marks the argument that would get a store; there is none here."""


class RunnableConfig(dict):
    """Annotation of the argument that gets the run's configuration."""


class ToolRuntime(InjectedToolArg):
    """Annotation of the argument that gets everything about the call, and its value."""

    def __init__(self, **members):
        self.__dict__.update(members)

    def __class_getitem__(cls, _):
        return cls


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

    def _told(self):
        return [f"{key}={value!r}" for key, value in vars(self).items() if value is not None]

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(self._told())})"

    def __str__(self):
        return " ".join(self._told())


class HumanMessage(BaseMessage):
    type = "human"


class AIMessage(BaseMessage):
    type = "ai"

    def __init__(self, content="", **fields):
        super().__init__(content, **{"tool_calls": [], "invalid_tool_calls": [], "usage_metadata": None} | fields)


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
    # Names in a schema, of a number or text, and of a list.
    LIMITS = {"gt": ("exclusiveMinimum",) * 2, "ge": ("minimum",) * 2, "lt": ("exclusiveMaximum",) * 2,
              "le": ("maximum",) * 2, "multiple_of": ("multipleOf",) * 2, "pattern": ("pattern",) * 2,
              "min_length": ("minLength", "minItems"), "max_length": ("maxLength", "maxItems")}

    def __init__(self, default=MISSING, default_factory=None, description=None, **rest):
        self.default = MISSING if default is ... else default
        self.default_factory = default_factory
        self.description = description
        self.rest = {key: value for key, value in rest.items() if value is not None}


def Field(default=MISSING, **rest):
    return FieldInfo(default, **rest)


class ConfigDict(dict):
    """Settings of a model. Only `extra` has an effect."""


def field_validator(*names, mode="after"):
    """Marks a model's method that checks or changes the fields of these names."""

    def mark(method):
        (method.__func__ if isinstance(method, classmethod) else method).checks = names, mode
        return method

    return mark


class BaseModel:
    """A small stand-in for pydantic's: fields from annotations, checked when made."""

    model_config = {}

    def __init__(self, **values):
        problems = []
        checked = checked_model(type(self), values, "", problems)
        if problems:
            raise ValueError("\n".join(f"{where}: {what}" for where, what in problems))
        self.__dict__.update(checked)

    @classmethod
    def model_validate(cls, values):
        return values if isinstance(values, cls) else cls(**values)

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
    "langchain_core.runnables": {"RunnableConfig": RunnableConfig},
    "langgraph": {},
    "langgraph.prebuilt": {"InjectedState": InjectedState, "InjectedStore": InjectedStore, "ToolRuntime": ToolRuntime},
    "langgraph.types": {"Command": Command},
    "pydantic": {
        "BaseModel": BaseModel, "Field": Field, "ConfigDict": ConfigDict, "field_validator": field_validator,
    },
}
# Other paths of the same things.
MODULES["langchain_core.tools.base"] = MODULES["langchain_core.tools"]
MODULES["langchain"] = {}
MODULES["langchain.tools"] = MODULES["langchain_core.tools"] | MODULES["langgraph.prebuilt"]
MODULES["langgraph.prebuilt.tool_node"] = MODULES["langgraph.prebuilt"]
HOMES = {name: module for module, members in reversed(MODULES.items()) for name in members}


def stand_in():
    """Registers our modules where the interpreter lacks them."""
    for name, members in MODULES.items():
        if installed(name):
            continue
        module = types.ModuleType(name)
        module.__path__, module.__all__, module.__stand_in__ = [], list(members), True
        # Looked up late: what stands beside LangChain's own classes must import them, which takes time.
        module.__getattr__ = lambda wanted, module=module, members=members: supplied(module, members, wanted)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


def installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def supplied(module, members, wanted):
    if wanted not in members:
        raise AttributeError(f"module {module.__name__!r} has no attribute {wanted!r}")
    found = members[wanted]
    if getattr(sys.modules.get("langchain_core"), "__stand_in__", False) is False and HOMES[wanted] != "pydantic":
        found = beside_langchain(wanted, found)
    module.__dict__[wanted] = found
    return found


def beside_langchain(wanted, ours):
    """LangChain's own object where it has one, else ours as LangChain knows such a thing."""
    home = importlib.import_module(HOMES[wanted])
    if not getattr(home, "__stand_in__", False):
        return getattr(home, wanted)
    if wanted not in BESIDE:
        from langchain_core.messages.tool import ToolOutputMixin
        from langchain_core.tools.base import InjectedToolArg as Theirs, _DirectlyInjectedToolArg as Directly

        theirs = {"Command": ToolOutputMixin, "ToolRuntime": Directly}.get(wanted, Theirs)
        BESIDE[wanted] = type(wanted, (ours, theirs), {})
    return BESIDE[wanted]


BESIDE = {}


def kinds(ours, module):
    """Our class and the one in whose place it stands, if that is loaded: for `isinstance`."""
    loaded = sys.modules.get(module)
    if loaded is None or getattr(loaded, "__stand_in__", False):
        return (ours,)
    return ours, getattr(loaded, ours.__name__, ours)
