# The JSON schema of a tool's arguments as pydantic derives it, without titles.


def hints_of(function):
    """Annotations with names resolved; those that cannot be resolved are left as they are written."""
    function = getattr(function, "__func__", function)
    try:
        return typing.get_type_hints(function, include_extras=True)
    except Exception:
        return dict(getattr(function, "__annotations__", {}))


def injected_as(annotation):
    """The marker of an injected argument, or None."""
    for mark in getattr(annotation, "__metadata__", (annotation,)):
        if isinstance(mark, InjectedToolArg) or isinstance(mark, type) and issubclass(mark, InjectedToolArg):
            return mark
    return None


def is_runtime(name, annotation):
    """Arguments that LangChain fills by itself and that we leave empty."""
    return name in ("run_manager", "callbacks", "config") and annotation is inspect.Parameter.empty or getattr(
        annotation, "__name__", "") in ("RunnableConfig", "CallbackManagerForToolRun")


class Argument:
    def __init__(self, kind, default=MISSING, description=None):
        inner = typing.get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
        self.kind, self.injected, self.info = inner, injected_as(kind), FieldInfo()
        words = None
        for mark in getattr(kind, "__metadata__", ()):
            if isinstance(mark, FieldInfo):
                self.info = mark
            elif isinstance(mark, str) and words is None:
                words = mark
        if isinstance(default, FieldInfo):
            self.info, default = default, default.default
        self.default = default if default is not MISSING else self.info.default
        self.description = self.info.description or words or description

    @property
    def required(self):
        return self.default is MISSING and self.info.default_factory is None

    def fallback(self):
        if self.info.default_factory is not None:
            return self.info.default_factory()
        return self.default

    def schema(self):
        found = dict(schema_of(self.kind))
        for key, name in FieldInfo.NUMBERS.items():
            if key in self.info.rest:
                found[name] = self.info.rest[key]
        if self.default is not MISSING and self.info.default_factory is None:
            found["default"] = plain(self.default)
        if self.description:
            found["description"] = self.description
        return dict(sorted(found.items()))


def fields_of_function(function, described=None):
    hints, found = hints_of(function), {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        annotation = hints.get(name, parameter.annotation)
        if is_runtime(name, annotation):
            continue
        kind = typing.Any if annotation is inspect.Parameter.empty else annotation
        default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        found[name] = Argument(kind, default, (described or {}).get(name))
    return found


def fields_of_model(model):
    found = {}
    for name, kind in typing.get_type_hints(model, include_extras=True).items():
        if not name.startswith("_") and typing.get_origin(kind) is not typing.ClassVar:
            found[name] = Argument(kind, getattr(model, name, MISSING))
    return found


def fields_of_tool(found):
    """Arguments by name, injected ones included."""
    function = found._function()
    described = parsed_docstring(function)[1] if found.parse_docstring else {}
    own = fields_of_function(function, described)
    if isinstance(found.args_schema, type) and issubclass(found.args_schema, BaseModel):
        injected = {name: field for name, field in own.items() if field.injected}
        return fields_of_model(found.args_schema) | injected
    return own


def parsed_docstring(function):
    """Google style: what the function does, and what its arguments are."""
    head, _, rest = (inspect.getdoc(function) or "").partition("\nArgs:\n")
    found, name = {}, None
    for line in rest.splitlines():
        if line and not line[0].isspace():
            break
        before, colon, words = line.strip().partition(":")
        if colon and before.split(" ")[0].isidentifier() and (name is None or len(line) - len(line.lstrip()) <= 4):
            name = before.split(" ")[0]
            found[name] = words.strip()
        elif name and line.strip():
            found[name] += " " + line.strip()
    return head.strip(), found


def parameters_of(found):
    """`parameters` of the tool as it is offered to a model."""
    if isinstance(found.args_schema, dict):
        return found.args_schema
    return object_schema({name: field for name, field in fields_of_tool(found).items() if field.injected is None})


def object_schema(fields):
    schema = {"properties": {name: field.schema() for name, field in fields.items()}}
    required = [name for name, field in fields.items() if field.required]
    if required:
        schema["required"] = required
    schema["type"] = "object"
    return schema


SIMPLE = {
    str: {"type": "string"}, int: {"type": "integer"}, float: {"type": "number"}, bool: {"type": "boolean"},
    type(None): {"type": "null"}, None: {"type": "null"}, bytes: {"format": "binary", "type": "string"},
}
NAMED = {"datetime": "date-time", "date": "date", "time": "time", "timedelta": "duration", "UUID": "uuid"}


def schema_of(kind):
    if getattr(kind, "__metadata__", None) is not None:
        return Argument(kind).schema()
    try:
        if kind in SIMPLE:
            return SIMPLE[kind]
    except TypeError:
        return {}
    origin, parts = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [schema_of(part) for part in parts]}
    if origin is typing.Literal:
        return literal_schema(list(parts))
    if isinstance(origin, type):
        return class_schema(origin, parts)
    return {}


def literal_schema(values):
    found = {"const": values[0]} if len(values) == 1 else {"enum": values}
    kinds = {type(value) for value in values}
    if len(kinds) == 1:
        found |= SIMPLE.get(kinds.pop(), {})
    return found


def class_schema(origin, parts):
    if issubclass(origin, BaseModel):
        found = object_schema(fields_of_model(origin))
        return {"description": inspect.cleandoc(origin.__doc__)} | found if origin.__doc__ else found
    if issubclass(origin, enum.Enum):
        return literal_schema([member.value for member in origin])
    if typing.is_typeddict(origin):
        fields = {name: Argument(kind) for name, kind in typing.get_type_hints(origin).items()}
        return object_schema(fields)
    if issubclass(origin, tuple) and parts and parts[-1] is not ...:
        items = [schema_of(part) for part in parts]
        return {"maxItems": len(items), "minItems": len(items), "prefixItems": items, "type": "array"}
    if issubclass(origin, dict) or origin.__name__ in ("Mapping", "MutableMapping"):
        values = schema_of(parts[1]) if len(parts) == 2 else {}
        return {"additionalProperties": values or True, "type": "object"}
    if issubclass(origin, (list, tuple, set, frozenset)) or origin.__name__ in ("Sequence", "Iterable"):
        found = {"items": schema_of(parts[0]) if parts else {}, "type": "array"}
        return found | {"uniqueItems": True} if issubclass(origin, (set, frozenset)) else found
    return {"format": NAMED[origin.__name__], "type": "string"} if origin.__name__ in NAMED else {}
