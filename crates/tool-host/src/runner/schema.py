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
    known = kinds(InjectedToolArg, "langchain_core.tools") + kinds(ToolRuntime, "langgraph.prebuilt")
    kind = typing.get_origin(annotation) or annotation
    for mark in getattr(annotation, "__metadata__", (kind,)):
        if isinstance(mark, known) or isinstance(mark, type) and issubclass(mark, known):
            return mark
    return None


def is_config(annotation):
    return getattr(annotation, "__name__", "") == "RunnableConfig"


def is_hidden(name, annotation):
    """Arguments that LangChain fills by itself."""
    untyped = annotation is inspect.Parameter.empty
    return name in ("run_manager", "callbacks") or untyped and name in ("self", "config") or is_config(
        annotation) or getattr(annotation, "__name__", "") == "CallbackManagerForToolRun"


def is_foreign(kind):
    """A model of the real pydantic, which describes and checks itself."""
    return isinstance(kind, type) and hasattr(kind, "model_json_schema")


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
        if is_hidden(name, annotation):
            continue
        kind = typing.Any if annotation is inspect.Parameter.empty else annotation
        default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
        found[name] = Argument(kind, default, (described or {}).get(name))
    return found


def fields_of_model(model):
    found = {}
    if is_foreign(model):
        for name, info in model.model_fields.items():
            found[name] = Argument(typing.Any, MISSING if info.is_required() else info.get_default(call_default_factory=True))
        return found
    for name, kind in typing.get_type_hints(model, include_extras=True).items():
        if not name.startswith("_") and typing.get_origin(kind) is not typing.ClassVar:
            found[name] = Argument(kind, getattr(model, name, MISSING))
    return found


def fields_of_tool(found):
    """Arguments by name, injected ones included."""
    function = found._function()
    described = parsed_docstring(function)[1] if found.parse_docstring else {}
    own = fields_of_function(function, described)
    if isinstance(found.args_schema, type) and (issubclass(found.args_schema, BaseModel) or is_foreign(found.args_schema)):
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
    if is_foreign(found.args_schema):
        told = without_titles(found.args_schema.model_json_schema())
        return {key: part for key, part in told.items() if key != "description"}
    return object_schema({name: field for name, field in fields_of_tool(found).items() if field.injected is None})


def without_titles(schema):
    """As LangChain sends it: no titles, references replaced by what they name."""
    defined = schema.get("$defs", {})

    def walked(part, named):
        if isinstance(part, list):
            return [walked(item, False) for item in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            rest = {key: item for key, item in part.items() if key != "$ref"}
            return walked(defined.get(part["$ref"].rpartition("/")[2], {}) | rest, False)
        kept = {key: item for key, item in part.items() if key != "$defs" and (named or key != "title" or not isinstance(item, str))}
        return {key: walked(item, key == "properties" and not named) for key, item in kept.items()}

    return walked(schema, False)


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
    if is_foreign(origin):
        return without_titles(origin.model_json_schema())
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
